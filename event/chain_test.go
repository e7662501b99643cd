package event_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"

	"github.com/jwkswatch/jwkswatch/event"
)

// chain encodes three events of one stream, each with the hash of the one
// before, as the watcher does.
func chain(t *testing.T) [][]byte {
	t.Helper()
	var list [][]byte
	var previous *string
	for i, name := range []string{"baseline.established", "key.relabelled", "set.ambiguous"} {
		e := golden(name)
		e.Data.Integrity.Sequence, e.Data.Integrity.Previous = uint64(i+1), previous
		b := encode(t, e)
		sum, err := event.Hash(b)
		if err != nil {
			t.Fatal(err)
		}
		previous = new("sha256:" + hex.EncodeToString(sum[:]))
		list = append(list, b)
	}
	return list
}

// broken returns the index of the first event that does not continue its
// stream, -1 when all do. It is the recipe of README.md, with a canonical form
// that is not ours.
func broken(t *testing.T, stored [][]byte) int {
	t.Helper()
	var last []byte
	for i, b := range stored {
		var e struct {
			Data struct {
				Integrity struct {
					Sequence int
					Previous *string
				}
			}
		}
		if err := json.Unmarshal(b, &e); err != nil {
			t.Fatal(err)
		}
		got := e.Data.Integrity
		switch {
		case got.Sequence != i+1, (got.Previous == nil) != (i == 0):
			return i
		case i > 0:
			form, err := canonicalElsewhere(last)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(form)
			if *got.Previous != "sha256:"+hex.EncodeToString(sum[:]) {
				return i
			}
		}
		last = b
	}
	return -1
}

func TestChain(t *testing.T) {
	t.Parallel()
	if i := broken(t, chain(t)); i != -1 {
		t.Errorf("the chain breaks at %d", i)
	}
	// A store that reformats and reorders JSON does not break it.
	c := chain(t)
	for i, b := range c {
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatal(err)
		}
		other, err := json.MarshalIndent(v, "", "\t")
		if err != nil || bytes.Equal(other, b) {
			t.Fatal(err)
		}
		c[i] = other
	}
	if i := broken(t, c); i != -1 {
		t.Errorf("reformatted, the chain breaks at %d", i)
	}
	c = chain(t)
	c[1] = bytes.Replace(c[1], []byte(`"severity":"medium","severity_id":3`), []byte(`"severity":"low","severity_id":2`), 1)
	if i := broken(t, c); i != 2 {
		t.Errorf("a changed event shows at %d, want 2", i)
	}
	c = chain(t)
	if i := broken(t, append(c[:1], c[2])); i != 1 {
		t.Errorf("a missing event shows at %d, want 1", i)
	}
}
