package custom

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// MaxTold bounds how much one endpoint's Told holds. What falls off is the oldest,
// and is told again: a flood can make a rule louder and never quieter.
const MaxTold = 128

// Told is what rules with a Repeat told of one endpoint, oldest first. It belongs
// to the caller, who stores it together with the events: a memory that is stored
// without them would hold down what nobody was told. The zero Told is empty.
type Told struct{ list []mark }

type mark struct {
	Rule  string `json:"r"`
	About string `json:"a"`
	At    int64  `json:"t"` // ms
}

// Encode writes what is remembered; nil for nothing.
func (t *Told) Encode() []byte {
	if t == nil || len(t.list) == 0 {
		return nil
	}
	b, err := json.Marshal(t.list)
	if err != nil {
		panic(err) // texts and numbers
	}
	return b
}

// DecodeTold reads what Encode wrote. What cannot be read is nothing: then a rule
// tells once more than it would have.
func DecodeTold(b []byte) *Told {
	var t Told
	if len(b) > 0 && json.Unmarshal(b, &t.list) != nil {
		t.list = nil
	}
	t.list = t.list[max(0, len(t.list)-MaxTold):]
	return &t
}

// within reports whether the rule told of this not long ago. A time to come, of a
// clock that was set back, does not count.
func (t *Told) within(r *Rule, about string, now time.Time) bool {
	return slices.ContainsFunc(t.list, func(m mark) bool {
		age := now.Sub(time.UnixMilli(m.At))
		return m.Rule == r.ID && m.About == about && age >= 0 && age < r.Repeat
	})
}

// add remembers what was told, and forgets what no rule of the set waits for.
func (t *Told) add(s *Set, r *Rule, about string, now time.Time) {
	t.list = slices.DeleteFunc(t.list, func(m mark) bool {
		age := now.Sub(time.UnixMilli(m.At))
		return m.Rule == r.ID && m.About == about ||
			!slices.ContainsFunc(s.Rules, func(r Rule) bool { return r.ID == m.Rule && age >= 0 && age < r.Repeat })
	})
	if n := len(t.list) - MaxTold + 1; n > 0 {
		t.list = slices.Delete(t.list, 0, n)
	}
	t.list = append(t.list, mark{r.ID, about, now.UnixMilli()})
}

// repeat lowers to informational what nobody but rules that told it already find
// as severe as it is. The time runs from when it was told, so that what goes on is
// told once in each.
func (s *Set) repeat(v *verdict, told *Told) {
	f := &v.e.Data.Event
	about, whole := subject(v.e)
	if told == nil || !whole || v.fixed {
		return
	}
	var by *Rule
	for i := range v.found {
		found := &v.found[i]
		found.held = found.rule.Repeat > 0 && told.within(found.rule, about, v.e.Time.Time)
		switch {
		case found.to < f.Severity:
		case !found.held:
			return // somebody has not told it yet, or tells every time
		case by == nil:
			by = found.rule
		}
	}
	if by == nil || f.Severity <= event.SeverityInformational {
		return
	}
	v.suppressed(by.ID)
	v.move(event.SeverityInformational, by.ID, "downgrade", "told already by rule "+by.ID, "", time.Time{})
}

// remember marks the rules whose finding goes out as they wanted it. What something
// else lowered was not told.
func (s *Set) remember(v *verdict, told *Told) {
	if told == nil {
		return
	}
	about, whole := subject(v.e)
	for i := range v.found {
		if found := &v.found[i]; whole && found.rule.Repeat > 0 && !found.held && found.to <= v.e.Data.Event.Severity {
			told.add(s, found.rule, about, v.e.Time.Time)
		}
	}
}

// subject identifies what an event is about: its type, all its keys by their
// material, and of a set which one it is. It is not whole when the event does not
// name them all, or not by their material; then nothing is held down: what is not
// named may be another key.
func subject(e *event.Event) (about string, whole bool) {
	d := &e.Data
	keys := d.Keys
	if d.Key != nil {
		keys = []event.Key{*d.Key}
	}
	whole = d.Event.Count <= max(1, len(keys))
	of := []string{}
	for i := range keys {
		whole = whole && keys[i].Thumbprint != nil
		of = append(of, value(keys[i].Thumbprint)+" "+value(keys[i].Kid))
	}
	slices.Sort(of)
	of = append(of, string(d.Event.Type), e.Subject)
	if d.Snapshot != nil && d.Snapshot.Current != nil && strings.HasPrefix(string(d.Event.Type), "set.") {
		of = append(of, d.Snapshot.Current.Digest)
	}
	b, err := json.Marshal(of) // unlike joining, it keeps apart what an issuer may write
	if err != nil {
		panic(err) // texts
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:12]), whole
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
