package event_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/event"
)

// An event that is too large is cut in the order and to the limits that shrink
// promises, says so, and stays valid.
func TestEncodeCuts(t *testing.T) {
	t.Parallel()
	many := func(n, octets int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = strings.Repeat("x", octets)
		}
		return list
	}
	for name, c := range map[string]struct {
		from   string
		grow   func(*event.Data)
		cut    []string
		proves func(*event.Data) bool
	}{
		"fits": {
			"key.private",
			func(d *event.Data) { d.Details = event.KeyPrivateDetails{Pointers: many(100, 512)} },
			[]string{},
			func(d *event.Data) bool { return len(d.Details.(*event.KeyPrivateDetails).Pointers) == 100 },
		},
		"keys over their number": {
			"key.added.rolled_up",
			func(d *event.Data) { d.Keys = slices.Repeat(d.Keys, 4); d.Event.Count = 48 },
			[]string{"keys"},
			func(d *event.Data) bool { return len(d.Keys) == event.MaxKeys && d.Event.Count == 48 },
		},
		"details": {
			"key.private",
			func(d *event.Data) { d.Details = event.KeyPrivateDetails{Pointers: many(4096, 512)} },
			[]string{"details"},
			func(d *event.Data) bool { return len(d.Details.(*event.KeyPrivateDetails).Pointers) == 32 },
		},
		"keys with long texts": {
			"key.added.rolled_up",
			func(d *event.Data) {
				d.Keys = slices.Repeat(d.Keys, 4)
				for i := range d.Keys {
					q := strings.Repeat(`"`, 512) // two octets each when escaped
					d.Keys[i].Kid, d.Keys[i].Alg, d.Keys[i].Use = &q, &q, &q
				}
			},
			[]string{"keys"},
			func(d *event.Data) bool { return len(d.Keys) == 16 && len(*d.Keys[0].Kid) == 256 },
		},
		"keys before details": {
			"key.added.rolled_up",
			func(d *event.Data) {
				for i := range d.Keys {
					d.Keys[i].Kid = new(strings.Repeat("k", 5000))
				}
				d.Details = event.KeyAddedDetails{Class: "sig", Confirmation: event.Confirmation{Addresses: many(100, 80)}}
			},
			[]string{"keys"},
			func(d *event.Data) bool {
				return len(d.Keys) == 12 && len(d.Details.(*event.KeyAddedDetails).Confirmation.Addresses) == 100
			},
		},
		"details before labels": {
			"key.relabelled",
			func(d *event.Data) {
				d.Details = event.KeyRelabelledDetails{KidsBefore: many(500, 80), KidsAfter: many(500, 80)}
				d.Endpoint.Labels = map[string]string{"team": strings.Repeat("l", 600)}
			},
			[]string{"details"},
			func(d *event.Data) bool { return len(d.Endpoint.Labels["team"]) == 600 },
		},
		"heads and sinks of a heartbeat": {
			"agent.heartbeat",
			func(d *event.Data) {
				h := d.Details.(event.AgentHeartbeatDetails)
				h.Heads = slices.Repeat([]event.HeartbeatHead{{Stream: strings.Repeat("s", 63), Epoch: strings.Repeat("e", 32), Sequence: 1, Hash: digest("h")}}, 64)
				h.Sinks = slices.Repeat([]event.HeartbeatSink{{Name: strings.Repeat("n", 63)}}, 600)
				d.Details = h
			},
			[]string{"details"},
			func(d *event.Data) bool {
				h := d.Details.(*event.AgentHeartbeatDetails)
				return len(h.Heads) == 32 && len(h.Sinks) == 32 && h.HeadsTotal == 2 && h.HeadsDigest == digest("heads")
			},
		},
		"everything": {
			"key.altered",
			func(d *event.Data) {
				huge := strings.Repeat(`\`, 4096)
				d.Change.Before = map[string]any{"key_ops": many(4096, 512), "x5u": huge, "list": []any{huge, map[string]any{"deep": huge}}}
				d.Change.After = map[string]any{}
				d.Endpoint.Labels = map[string]string{}
				for _, k := range many(300, 1) {
					d.Endpoint.Labels[k+strings.Repeat("y", len(d.Endpoint.Labels))] = huge
				}
				d.Endpoint.Owner, d.Transport.URL, d.Transport.LeafIssuer = &huge, huge, &huge
				d.Rules = slices.Repeat([]event.Rule{{ID: "r", Title: huge, Severity: event.SeverityLow}}, 500)
				d.Judgement.Adjustments = slices.Repeat([]event.Adjustment{{Kind: "raise", To: event.SeverityLow, Reason: huge}}, 500)
				d.Key.Kid, d.PreviousKey.Kid = &huge, &huge
				d.Failure = &event.Failure{Phase: "tls", Error: huge, Count: 1}
			},
			[]string{"change", "endpoint", "rules", "judgement", "transport", "failure", "previous_key", "key"},
			func(d *event.Data) bool {
				// It fits when the second round comes to the judgement; what is after that stands as the first left it.
				return d.Integrity.Sequence == 41 && d.Endpoint.Name == "corp-idp" &&
					len(d.Endpoint.Labels) == 16 && len(d.Rules) == 16 && len(d.Judgement.Adjustments) == 16 &&
					len(d.Change.Before["x5u"].(string)) == 256 && len(d.Failure.Error) == 512 &&
					strings.HasSuffix(*d.Key.Kid, "…") && len(*d.Key.Kid) == 512
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := golden(c.from)
			c.grow(&e.Data)
			untouched := len(e.Data.Keys)
			b := encode(t, e)
			if len(b) > event.MaxBytes {
				t.Fatalf("%d octets", len(b))
			}
			got, err := event.Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Data.Truncated, c.cut) {
				t.Errorf("truncated is %q, want %q", got.Data.Truncated, c.cut)
			}
			if !c.proves(&got.Data) {
				t.Errorf("cut in another way: %.2000s", b)
			}
			if len(e.Data.Keys) != untouched || len(e.Data.Truncated) != 0 {
				t.Error("Encode changed the event it was given")
			}
			if err := compiled(t, event.Schema()).Validate(instance(t, b)); err != nil {
				t.Errorf("cut, it is not valid any more: %v", err)
			}
			if again := encode(t, e); !bytes.Equal(again, b) {
				t.Error("cut in another way the second time")
			}
			if again := encode(t, got); !bytes.Equal(again, b) {
				t.Error("decoded and encoded again, it is another event")
			}
		})
	}
}

// The strictest round keeps digests and thumbprints whole.
func TestEncodeCutsNoDigest(t *testing.T) {
	t.Parallel()
	e := golden("key.unparseable")
	d := e.Data.Details.(event.KeyUnparseableDetails)
	d.Pointers = []string{strings.Repeat("p", 80)}
	e.Data.Details, e.Data.Truncated, e.Data.Event.Reasons = d, []string{"details"}, []string{""}
	// The facts leave room for the last round, to the octet.
	e.Data.Event.Reasons[0] = strings.Repeat("r", event.MaxBytes-len(encode(t, e)))
	e.Data.Truncated = nil
	d.Pointers[0] = strings.Repeat("p", 200)
	b := encode(t, e)
	got, err := event.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	cut := got.Data.Details.(*event.KeyUnparseableDetails)
	if len(b) != event.MaxBytes || len(cut.Pointers[0]) != 80 {
		t.Fatalf("not the last round: pointer of %d octets, event of %d", len(cut.Pointers[0]), len(b))
	}
	if *cut.RawDigest != *d.RawDigest || *got.Data.Transport.LeafSPKISHA256 != *e.Data.Transport.LeafSPKISHA256 {
		t.Error("a digest was cut")
	}
}
