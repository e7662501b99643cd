package event_test

import (
	"regexp"
	"testing"

	"github.com/jwkswatch/jwkswatch/event"
)

// The golden ids freeze the layout written at Identifier. They were computed by
// another implementation in another language from that comment alone.
func TestIdentifierGolden(t *testing.T) {
	t.Parallel()
	var i event.Identifier
	for n := range i.Key {
		i.Key[n] = byte(n)
	}
	i.Epoch = "epoch-1"
	prev, next := [32]byte{1}, [32]byte{2}
	for _, c := range []struct{ got, want string }{
		{i.Event("corp-idp", 41, prev, next, event.KeyAdded, "subject", 3), "jw1-n272u7skfq7yuzgjvx6r5xe4kc"},
		{i.ChangeSet("corp-idp", 41, prev, next), "cs1-smrmxqt4zx7ie222cctrxe5ap6"},
		{i.Condition("corp-idp", 41, event.KeyPrivate, "subject", 3), "cn1-zxfheppu5oyehzmyqims5gv3mn"},
		{event.Identifier{}.Event("", 0, [32]byte{}, [32]byte{}, "", "", 0), "jw1-gzl3nx6m4rby544gcimbir55qz"},
	} {
		if c.got != c.want {
			t.Errorf("id %s, want %s", c.got, c.want)
		}
	}
}

// Every input has its part in every id, and no two inputs run into each other:
// without length prefixes the neighbours below would.
func TestIdentifierDistinct(t *testing.T) {
	t.Parallel()
	a, b := [32]byte{'a'}, [32]byte{'b'}
	i := event.Identifier{Key: a, Epoch: "ep"}
	seen := map[string]string{}
	form := regexp.MustCompile(`^(jw1|cs1|cn1)-[a-z2-7]{26}$`)
	add := func(name, id string) {
		t.Helper()
		if !form.MatchString(id) {
			t.Errorf("%s: id %s", name, id)
		}
		// The prefix must not be all that tells two kinds of id apart.
		if other, ok := seen[id[4:]]; ok {
			t.Errorf("%s has the id of %s", name, other)
		}
		seen[id[4:]] = name
	}
	add("event", i.Event("ab", 1, a, b, "key.added", "x", 0))
	add("key", event.Identifier{Key: b, Epoch: "ep"}.Event("ab", 1, a, b, "key.added", "x", 0))
	add("epoch", event.Identifier{Key: a, Epoch: "eq"}.Event("ab", 1, a, b, "key.added", "x", 0))
	add("epoch|endpoint", event.Identifier{Key: a, Epoch: "epa"}.Event("b", 1, a, b, "key.added", "x", 0))
	add("endpoint", i.Event("ac", 1, a, b, "key.added", "x", 0))
	add("revision", i.Event("ab", 2, a, b, "key.added", "x", 0))
	add("revision beyond 32 bits", i.Event("ab", 1+1<<32, a, b, "key.added", "x", 0))
	add("prev", i.Event("ab", 1, b, b, "key.added", "x", 0))
	add("next", i.Event("ab", 1, a, a, "key.added", "x", 0))
	add("prev and next exchanged", i.Event("ab", 1, b, a, "key.added", "x", 0))
	add("type", i.Event("ab", 1, a, b, "key.adde", "x", 0))
	add("type|subject", i.Event("ab", 1, a, b, "key.adde", "dx", 0))
	add("subject", i.Event("ab", 1, a, b, "key.added", "y", 0))
	add("subject|ordinal", i.Event("ab", 1, a, b, "key.added", "x\x00", 0))
	add("ordinal", i.Event("ab", 1, a, b, "key.added", "x", 1))
	add("negative ordinal", i.Event("ab", 1, a, b, "key.added", "x", -1))

	add("change set", i.ChangeSet("ab", 1, a, b))
	add("change set: epoch", event.Identifier{Key: a, Epoch: "eq"}.ChangeSet("ab", 1, a, b))
	add("change set: epoch|endpoint", event.Identifier{Key: a, Epoch: "epa"}.ChangeSet("b", 1, a, b))
	add("change set: revision", i.ChangeSet("ab", 2, a, b))
	add("change set: digests", i.ChangeSet("ab", 1, b, a))

	add("condition", i.Condition("ab", 1, "key.private", "x", 0))
	add("condition: epoch", event.Identifier{Key: a, Epoch: "eq"}.Condition("ab", 1, "key.private", "x", 0))
	add("condition: revision", i.Condition("ab", 2, "key.private", "x", 0))
	add("condition: type|subject", i.Condition("ab", 1, "key.privat", "ex", 0))
	add("condition: subject", i.Condition("ab", 1, "key.private", "y", 0))
	add("condition: ordinal", i.Condition("ab", 1, "key.private", "x", 1))

	again := event.Identifier{Key: a, Epoch: "ep"}.Event("ab", 1, a, b, "key.added", "x", 0)
	if seen[again[4:]] != "event" {
		t.Error("equal inputs have different ids")
	}
}
