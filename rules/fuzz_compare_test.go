package rules_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// FuzzCompare reads any two documents, compares and judges them. Whatever they
// are: a document is no change of itself, what came one way went the other way,
// nothing goes by a document that is no complete set, every finding is fit to be
// told, and no octet of a secret is in it.
func FuzzCompare(f *testing.F) {
	docs := documents()
	for i := range docs {
		f.Add(docs[i], docs[(i+1)%len(docs)])
		f.Add(docs[0], docs[i])
	}
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"U0VDUkVUU0VDUkVUU0VDUkVU"}]}`), []byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","d":"U0VDUkVUU0VDUkVUU0VDUkVU"}]}`))
	book := rules.Book()
	f.Fuzz(func(t *testing.T, before, after []byte) {
		a, b := jwks.Parse(before), jwks.Parse(after)
		if !a.Usable() || !b.Usable() {
			return // nothing may be compared: Step holds that nothing is
		}
		if own := rules.Compare(book, a, a); len(own) > 0 {
			t.Fatalf("a document changed from itself: %v", tell(own))
		}
		there, back := rules.Compare(book, a, b), rules.Compare(book, b, a)
		mirror(t, a, b)
		// An emptied set is one event, and no key.removed.
		if len(a.Keys) > 0 && len(b.Keys) > 0 && (!slices.Equal(gone(there), came(back)) || !slices.Equal(came(there), gone(back))) {
			t.Fatalf("there\n%v\nback\n%v", tell(there), tell(back))
		}
		if same := a.Digest == b.Digest; same && slices.ContainsFunc(there, changes) {
			t.Fatalf("two documents of one digest: %v", tell(there))
		}
		for i := range there {
			f := &there[i]
			if f.Message == "" || f.Details == nil || f.Rule == nil || f.Severity == 0 || f.Verdict == "" || event.Text(f.Message) != f.Message || len([]rune(f.Message)) > event.MaxMessage {
				t.Fatalf("not fit to be told: %+v", f)
			}
			if strings.Contains(f.Message, "U0VDUkVU") {
				t.Fatalf("a secret in %q", f.Message)
			}
		}
	})
}

// mirror holds that the difference of two documents is the same both ways.
func mirror(t *testing.T, a, b *jwks.Set) {
	t.Helper()
	there, back := diff.Compare(a.Keys, b.Keys), diff.Compare(b.Keys, a.Keys)
	if !slices.Equal(ids(there.Added), ids(back.Removed)) || !slices.Equal(ids(there.Removed), ids(back.Added)) || len(there.Kept) != len(back.Kept) {
		t.Fatalf("there %d came, %d went, %d stay; back %d, %d and %d", len(there.Added), len(there.Removed), len(there.Kept), len(back.Added), len(back.Removed), len(back.Kept))
	}
}

func ids(list []diff.Material) []string {
	var out []string
	for _, m := range list {
		out = append(out, m.ID.String())
	}
	slices.Sort(out)
	return out
}

func changes(f rules.Finding) bool {
	switch f.Type {
	case event.KeyAdded, event.KeyRemoved, event.KeyMutated, event.SetReplaced, event.SetEmptied, event.KeyAltered, event.KeyRelabelled:
		return true
	}
	return false
}

// came and gone are the identities that a comparison adds and removes.
func came(list []rules.Finding) []string { return identities(list, event.KeyAdded) }
func gone(list []rules.Finding) []string { return identities(list, event.KeyRemoved) }

func identities(list []rules.Finding, typ event.Type) []string {
	var out []string
	for i := range list {
		if list[i].Type == typ && list[i].Key != nil {
			out = append(out, list[i].Key.Key.ID.String())
		}
	}
	slices.Sort(out)
	return out
}
