package jwks

import (
	"fmt"
	"strings"
	"testing"
)

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{3, 100} {
		var entries []string
		for i := range n {
			entries = append(entries, rsaKey(uint64(i), fmt.Sprint("key-", i)))
		}
		body := doc(entries...)
		b.Run(fmt.Sprint(n, "keys"), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				Parse(body)
			}
		})
	}
	// Hostile bodies of 4 MiB: the time must be in line with the length.
	hostile := map[string]string{
		"members":  `{"keys":[{"kty":"x",` + strings.Repeat(`"a":1,`, 4<<20/6) + `"b":1}]}`,
		"elements": `{"keys":[],"a":[` + strings.Repeat(`1,`, 2<<20) + `1]}`,
		"nested":   `{"keys":[` + strings.Repeat("[", 60) + strings.Repeat(`{"b":1,"a":"\n"},`, 4<<20/17) + "1" + strings.Repeat("]", 60) + `]}`,
		"privates": `{"keys":[{"kty":"RSA",` + strings.Repeat(`"d":"x",`, 4<<20/8) + `"b":1}]}`,
		"pem":      `{"keys":["` + strings.Repeat(`PRIVATE KEY-----`, 4<<20/16) + `"]}`,
		"dashes":   `{"keys":["` + strings.Repeat("----", 1<<20) + `"]}`,
		"names":    `{"keys":[{` + strings.Repeat(`"----":"----",`, 4<<20/14) + `"b":1}]}`,
		"lines":    `{"a":1` + strings.Repeat(`,"keys":["PRIVATE KEY----"]`, 4<<20/27) + `}`,
		"colons":   `{` + strings.Repeat(`"d`, 1<<20) + strings.Repeat(`:`, 2<<20),
		"spaces":   `{"keys":[` + strings.Repeat(" ", 4<<20) + `]}`,
	}
	for name, body := range hostile {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				Parse([]byte(body))
			}
		})
	}
}

func BenchmarkOracle(b *testing.B) {
	var entries []string
	for i := range 100 {
		entries = append(entries, rsaKey(uint64(i), fmt.Sprint("key-", i)))
	}
	s := Parse(doc(entries...))
	for b.Loop() {
		s.Oracle()
	}
}
