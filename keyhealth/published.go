package keyhealth

import (
	_ "embed"
	"encoding/base64"
	"sort"
	"strings"

	"github.com/jwkswatch/jwkswatch/jwks"
)

//go:embed published/keys.txt
var published string

// Published returns the RFC, library or project in whose public sources the
// private half of the key stands; ok is false for a key that the list does not
// have. See published/README.md for what a match proves.
func Published(id jwks.Identity) (source string, ok bool) {
	if id.Kind != jwks.Thumbprint {
		return "", false
	}
	var want [43]byte
	base64.RawURLEncoding.Encode(want[:], id.Sum[:])
	// The lines differ in length: an offset stands for the line that begins after it.
	line := func(at int) string {
		if at > 0 {
			i := strings.IndexByte(published[at-1:], '\n')
			if i < 0 {
				return ""
			}
			at += i
		}
		text, _, _ := strings.Cut(published[at:], "\n")
		return text
	}
	at := sort.Search(len(published), func(at int) bool {
		l := line(at)
		return l == "" || l[:len(want)] >= string(want[:])
	})
	return strings.CutPrefix(line(at), string(want[:])+" ")
}
