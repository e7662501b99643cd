package jwks

import "testing"

// TestSequence reads what counts the set, and takes nothing for it that may be read
// in two ways.
func TestSequence(t *testing.T) {
	t.Parallel()
	for doc, want := range map[string]struct {
		n  uint64
		ok bool
	}{
		`{"keys":[],"spiffe_sequence":7}`:                     {7, true},
		`{"spiffe_sequence": 0 ,"keys":[]}`:                   {0, true},
		`{"spiffe_sequence":9223372036854775807,"keys":[]}`:   {1<<63 - 1, true},
		`{"spiffe_sequence":9223372036854775808,"keys":[]}`:   {},
		`{"spiffe_sequence":-1,"keys":[]}`:                    {},
		`{"spiffe_sequence":1.5,"keys":[]}`:                   {},
		`{"spiffe_sequence":1e3,"keys":[]}`:                   {},
		`{"spiffe_sequence":"7","keys":[]}`:                   {},
		`{"spiffe_sequence":null,"keys":[]}`:                  {},
		`{"spiffe_sequence":7,"keys":[],"spiffe_sequence":8}`: {},
		`{"spiffe_sequence":{"spiffe_sequence":7},"keys":[]}`: {},
		`{"SPIFFE_sequence":7,"keys":[]}`:                     {},
		`{"keys":[{"kty":"RSA","spiffe_sequence":7}]}`:        {},
		`{"x":{"spiffe_sequence":7},"keys":[]}`:               {},
		`{"spiffe_sequence":7}`:                               {},
		`{"keys":[]}`:                                         {},
	} {
		if s := Parse([]byte(doc)); s.Sequence != want.n || s.HasSequence != want.ok {
			t.Errorf("%s: %d, %t", doc, s.Sequence, s.HasSequence)
		}
	}
}
