package fetch

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jwkswatch/jwkswatch/event"
)

// Limits of a discovery document. Real ones have 2 to 20 KiB.
const (
	maxMetadata       = 1 << 20 // octets of the document
	maxMetadataURL    = 2048    // octets of issuer and jwks_uri
	maxMetadataName   = 128     // octets of a member that matters
	maxMetadataList   = 256     // entries of a list, and of Algs
	maxMetadataEntry  = 64      // octets of an entry of a list
	maxMetadataQuoted = 100     // octets of the document in an error
	maxMetadataPlaces = 32      // values of the endpoints
)

// Metadata is what matters of a discovery document.
type Metadata struct {
	Issuer         string   // as published, up to 2,048 octets; "" when there is none
	JWKSURI        string   // as published, checked as CheckURL does
	Algs           []string // of all *_signing_alg_values_supported, cleaned, sorted, each once
	SignedMetadata bool
	PKCE           bool // S256 among code_challenge_methods_supported
	// Endpoints are those that receive secrets or decide about them: where users
	// log in and codes, tokens and client secrets are sent. Each value of each
	// name, in the order of names; a name may repeat.
	Endpoints []MetadataEndpoint
}

// MetadataEndpoint is one endpoint that the document names.
type MetadataEndpoint struct {
	Name string // authorization_endpoint, token_endpoint, …
	URL  string // as published, cut at 2,048 octets; it need not be a URL
	Host string // lower case, without port; "" when there is none to be read
}

// ParseMetadata reads a discovery document (OpenID Connect Discovery 1.0 and RFC
// 8414). It must be one JSON object in UTF-8 and nothing after it, must name a
// jwks_uri, with https unless its issuer has http, and must not repeat a member
// that matters, not even in other letters: readers that ignore case, or that
// take the first or the last of two, would then disagree about what it says.
//
// The document is hostile. The error names the place as a JSON pointer and the
// reason, each with at most 100 octets, cleaned.
func ParseMetadata(body []byte) (Metadata, error) {
	if len(body) > maxMetadata {
		return Metadata{}, wrong("", fmt.Sprintf("larger than %d octets", maxMetadata))
	}
	r := metadataReader{
		dec:  jsontext.NewDecoder(bytes.NewBuffer(body), jsontext.AllowDuplicateNames(true)),
		seen: map[string]bool{},
	}
	if err := r.document(); err != nil {
		return Metadata{}, err
	}
	m := r.found
	slices.SortFunc(m.Endpoints, func(a, b MetadataEndpoint) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.URL, b.URL))
	})
	m.Endpoints = slices.Compact(m.Endpoints)
	switch err := CheckURL(m.JWKSURI); {
	case m.JWKSURI == "":
		return Metadata{}, wrong("/jwks_uri", "missing")
	case err != nil:
		return Metadata{}, wrong("/jwks_uri", err.Error())
	// That the issuer may say of itself that it has http is no way around this:
	// it is compared with the configured one.
	case !secure(m.JWKSURI) && (m.Issuer == "" || secure(m.Issuer)):
		return Metadata{}, wrong("/jwks_uri", "must begin with https://")
	}
	slices.Sort(m.Algs)
	m.Algs = slices.Compact(m.Algs)
	if len(m.Algs) > maxMetadataList {
		return Metadata{}, wrong("", fmt.Sprintf("more than %d signature algorithms", maxMetadataList))
	}
	return m, nil
}

// wrong is an error about one place of a document.
func wrong(pointer, reason string) error {
	if pointer == "" {
		return fmt.Errorf("discovery document: %s", clip(reason, maxMetadataQuoted))
	}
	return fmt.Errorf("discovery document: %s: %s", clip(pointer, maxMetadataQuoted), clip(reason, maxMetadataQuoted))
}

// member is the pointer of a member of the object (RFC 6901).
func member(name string) string { return string(jsontext.Pointer("").AppendToken(name)) }

type metadataReader struct {
	dec   *jsontext.Decoder
	seen  map[string]bool // members that matter, in folded letters
	found Metadata
}

func (r *metadataReader) document() error {
	open, err := r.dec.ReadToken()
	switch {
	case errors.Is(err, io.EOF):
		return wrong("", "empty")
	case err != nil:
		return r.syntax(err)
	case open.Kind() != '{':
		return wrong("", "not a JSON object")
	}
	for r.dec.PeekKind() == '"' {
		if err := r.member(); err != nil {
			return err
		}
	}
	if _, err := r.dec.ReadToken(); err != nil {
		return r.syntax(err)
	}
	switch _, err := r.dec.ReadToken(); {
	case err == nil:
		return wrong("", "a second value after the object")
	case !errors.Is(err, io.EOF):
		return r.syntax(err)
	}
	return nil
}

// member reads one member of the object.
func (r *metadataReader) member() error {
	token, err := r.dec.ReadToken()
	if err != nil {
		return r.syntax(err)
	}
	name := token.String()
	folded, matters := mattering(name)
	if leads(folded) {
		return r.endpoint(folded)
	}
	if !matters {
		return r.skip()
	}
	if r.seen[folded] {
		return wrong(member(folded), "stands more than once")
	}
	r.seen[folded] = true
	if name != folded {
		return r.skip() // nobody who reads exactly sees it
	}
	switch name {
	case "issuer":
		r.found.Issuer, err = r.text(name)
	case "jwks_uri":
		r.found.JWKSURI, err = r.text(name)
	case "signed_metadata":
		r.found.SignedMetadata = r.dec.PeekKind() == '"'
		return r.skip()
	case "code_challenge_methods_supported":
		var methods []string
		methods, err = r.list(name)
		r.found.PKCE = slices.Contains(methods, "S256")
	default:
		var algs []string
		algs, err = r.list(name)
		for _, alg := range algs {
			r.found.Algs = append(r.found.Algs, event.Text(alg))
		}
	}
	return err
}

// mattering reports whether a member matters, and its name with the letters
// folded as readers fold them that ignore case: U+212A is a k to them, and
// U+017F an s.
func mattering(name string) (folded string, matters bool) {
	if len(name) > maxMetadataName {
		return "", false
	}
	folded = strings.ToLower(strings.ToUpper(name))
	switch folded {
	case "issuer", "jwks_uri", "signed_metadata", "code_challenge_methods_supported":
		return folded, true
	}
	return folded, strings.HasSuffix(folded, "_signing_alg_values_supported")
}

// leads reports whether a member names an endpoint that receives secrets.
func leads(folded string) bool {
	switch folded {
	case "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "introspection_endpoint", "revocation_endpoint", "registration_endpoint":
		return true
	}
	return false
}

// endpoint reads where an endpoint is. All values count, whatever letters the
// name is written in: of two, some client takes the second. What is no text is
// none, and nothing here makes the document useless.
func (r *metadataReader) endpoint(name string) error {
	if r.dec.PeekKind() != '"' {
		return r.skip()
	}
	token, err := r.dec.ReadToken()
	if err != nil {
		return r.syntax(err)
	}
	text := strings.TrimSpace(token.String())
	if text == "" {
		return nil
	}
	e := MetadataEndpoint{Name: name, URL: text[:min(len(text), maxMetadataURL)]}
	if u, err := url.Parse(text); err == nil {
		e.Host = strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	}
	list := r.found.Endpoints
	if len(list) >= maxMetadataPlaces { // nothing honest; what stands last is what clients take
		list = slices.Delete(list, len(list)-1, len(list))
	}
	r.found.Endpoints = append(list, e)
	return nil
}

func (r *metadataReader) skip() error {
	if err := r.dec.SkipValue(); err != nil {
		return r.syntax(err)
	}
	return nil
}

// text reads a string. null is as good as nothing: some servers write their
// absent members so.
func (r *metadataReader) text(name string) (string, error) {
	token, err := r.dec.ReadToken()
	switch {
	case err != nil:
		return "", r.syntax(err)
	case token.Kind() == 'n':
		return "", nil
	case token.Kind() != '"':
		return "", wrong(member(name), "not a string")
	}
	text := token.String()
	if len(text) > maxMetadataURL {
		return "", wrong(member(name), fmt.Sprintf("longer than %d octets", maxMetadataURL))
	}
	return text, nil
}

// list reads an array of strings, or null.
func (r *metadataReader) list(name string) ([]string, error) {
	open, err := r.dec.ReadToken()
	switch {
	case err != nil:
		return nil, r.syntax(err)
	case open.Kind() == 'n':
		return nil, nil
	case open.Kind() != '[':
		return nil, wrong(member(name), "not an array")
	}
	var entries []string
	for r.dec.PeekKind() != ']' {
		token, err := r.dec.ReadToken()
		at := member(name) + "/" + strconv.Itoa(len(entries))
		switch {
		case err != nil:
			return nil, r.syntax(err)
		case token.Kind() != '"':
			return nil, wrong(at, "not a string")
		case len(token.String()) > maxMetadataEntry:
			return nil, wrong(at, fmt.Sprintf("longer than %d octets", maxMetadataEntry))
		case len(entries) == maxMetadataList:
			return nil, wrong(member(name), fmt.Sprintf("more than %d entries", maxMetadataList))
		}
		entries = append(entries, token.String())
	}
	_, err = r.dec.ReadToken()
	if err != nil {
		return nil, r.syntax(err)
	}
	return entries, nil
}

// syntax is what is wrong with the JSON itself.
func (r *metadataReader) syntax(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return wrong(string(r.dec.StackPointer()), "ends too early")
	}
	if se, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		reason := "not JSON"
		if se.Err != nil {
			reason = se.Err.Error()
		}
		return wrong(string(se.JSONPointer), reason)
	}
	return wrong(string(r.dec.StackPointer()), err.Error())
}
