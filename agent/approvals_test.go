package agent_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/event"
)

// TestApprovals tells of each grant, revocation and end once, over restarts too.
func TestApprovals(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		one := func(id string, critical bool, lasts time.Duration) agent.Approval {
			return agent.Approval{Critical: critical, Details: event.ApprovalDetails{
				ID: id, Endpoint: "corp-idp", Thumbprint: new("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"), Reason: "CHG-1", By: "iam",
				From: event.AtOrNil(time.Now()), Until: event.AtOrNil(time.Now().Add(lasts)), Source: "file",
			}}
		}
		say := func(list ...agent.Approval) {
			t.Helper()
			for range 2 { // nothing is told twice
				if err := s.voice.Approvals(t.Context(), time.Now(), list); err != nil {
					t.Fatal(err)
				}
			}
		}
		a, b, old := one("ap-a", false, time.Hour), one("ap-b", true, 2*time.Hour), one("ap-old", true, -time.Hour)
		say()
		say(a, b, old)
		time.Sleep(time.Hour)
		say(a, b, old)
		say(a)
		say()
		var got []string
		for _, e := range s.events()[1:] {
			got = append(got, e.Data.Event.Severity.String()+" "+string(e.Data.Event.Type)+" "+e.Data.Details.(*event.ApprovalDetails).ID)
			if e.Data.Endpoint != nil || e.Data.Integrity.Stream != event.AgentStream {
				t.Errorf("%s is not in the stream of the agent", e.Data.Event.Type)
			}
		}
		want := []string{
			"low approval.granted ap-a", "medium approval.granted ap-b", "low approval.expired ap-a", "low approval.revoked ap-b",
		}
		if len(got) != len(want) {
			t.Fatalf("told %q", got)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("told %q, want %q", got[i], want[i])
			}
		}
	})
}

// TestLedger keeps what comes by the socket: granted once, listed, ended by its
// time or by who takes it back, over restarts too, and never revoked because no
// file has it.
func TestLedger(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		grant := func(source string, lasts time.Duration) event.ApprovalDetails {
			t.Helper()
			d, err := s.voice.Grant(t.Context(), time.Now(), agent.Approval{Details: event.ApprovalDetails{
				Endpoint: "corp-idp", Thumbprint: new("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"), Reason: "CHG-1", By: "iam",
				From: event.AtOrNil(time.Now()), Until: event.AtOrNil(time.Now().Add(lasts)), Source: source,
			}})
			if err != nil || !strings.HasPrefix(d.ID, "ap-") {
				t.Fatalf("%+v, %v", d, err)
			}
			return d
		}
		list := func(want ...string) {
			t.Helper()
			s.voice = s.again() // what is listed is stored
			got, err := s.voice.Ledger(t.Context(), time.Now())
			if err != nil || len(got) != len(want) {
				t.Fatalf("%+v, %v: want %q", got, err, want)
			}
			for _, a := range got {
				text := a.Details.Source
				if a.Over {
					text += " over"
				}
				if !slices.Contains(want, text) {
					t.Errorf("%q is not among %q", text, want)
				}
			}
		}
		tick := func() {
			t.Helper()
			for range 2 {
				if err := s.voice.Approvals(t.Context(), time.Now(), nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		list()
		one := grant(agent.FromCommand, time.Hour)
		two := grant(agent.FromAcknowledgement, 2*time.Hour)
		tick()
		list("command", "acknowledgement")
		if _, err := s.voice.Revoke(t.Context(), time.Now(), "ap-none", "iam", "x"); !errors.Is(err, agent.ErrNoApproval) {
			t.Errorf("an id that is none: %v", err)
		}
		if d, err := s.voice.Revoke(t.Context(), time.Now(), two.ID, "soc", "not ours"); err != nil || *d.RevokedBy != "soc" || *d.RevokedFor != "not ours" {
			t.Errorf("revoked: %+v, %v", d, err)
		}
		time.Sleep(time.Hour)
		tick()
		list("command over")
		if _, err := s.voice.Revoke(t.Context(), time.Now(), one.ID, "soc", "late"); !errors.Is(err, agent.ErrNoApproval) {
			t.Errorf("one that is over: %v", err)
		}
		time.Sleep(30*24*time.Hour - time.Minute)
		tick()
		list("command over")
		time.Sleep(time.Minute)
		tick()
		list()
		s.told(t, "low approval.granted", "low approval.granted", "low approval.revoked", "low approval.expired")
	})
}

// TestLedgerOfFiles holds that a file keeps what it has.
func TestLedgerOfFiles(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		a := agent.Approval{Details: event.ApprovalDetails{ID: "ap-file", Endpoint: "corp-idp", Until: event.AtOrNil(time.Now().Add(time.Hour)), Source: agent.FromFile}}
		if err := s.voice.Approvals(t.Context(), time.Now(), []agent.Approval{a}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.voice.Revoke(t.Context(), time.Now(), "ap-file", "soc", "x"); !errors.Is(err, agent.ErrApprovalOfFile) {
			t.Errorf("%v", err)
		}
	})
}

// TestOpenings tells once of what came in by a window, when it is over; of a
// critical endpoint again after a day, unless somebody approved every key.
func TestOpenings(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		begin := time.Now()
		keys := []string{"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s"}
		of := func(endpoint string, critical bool, keys ...string) agent.Opening {
			return agent.Opening{Endpoint: endpoint, Window: "iam", From: begin, Until: begin.Add(time.Hour), Changes: 3, Keys: keys, Critical: critical}
		}
		unused := of("d", true)
		unused.Changes = 0
		list := []agent.Opening{of("a", false, keys...), of("b", true, keys...), of("c", true, keys...), unused, of("e", true)}
		tick := func() {
			t.Helper()
			for range 2 {
				if err := s.voice.Openings(t.Context(), time.Now(), list); err != nil {
					t.Fatal(err)
				}
				s.voice = s.again()
			}
		}
		tick() // still open
		s.told(t)
		time.Sleep(time.Hour)
		tick()
		used := "informational approval.used"
		s.told(t, used, used, used, used)
		for _, k := range keys {
			if _, err := s.voice.Grant(t.Context(), time.Now(), agent.Approval{Details: event.ApprovalDetails{
				Endpoint: "b", Keys: []string{k}, Reason: "ours", By: "iam", Until: event.AtOrNil(time.Now().Add(time.Hour)), Source: agent.FromAcknowledgement,
			}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.voice.Grant(t.Context(), time.Now(), agent.Approval{Details: event.ApprovalDetails{
			Endpoint: "c", Thumbprint: new(keys[0]), Reason: "only one", By: "iam", Until: event.AtOrNil(time.Now().Add(time.Hour)), Source: agent.FromCommand,
		}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24*time.Hour - time.Second)
		tick()
		granted := "low approval.granted"
		s.told(t, used, used, used, used, granted, granted, granted)
		time.Sleep(time.Second)
		tick()
		s.told(t, used, used, used, used, granted, granted, granted, "medium approval.used")
		last := s.events()[len(s.events())-1]
		if d := last.Data.Details.(*event.ApprovalDetails); d.Endpoint != "c" || d.From != nil || d.Until != nil || len(d.Keys) != 2 || d.Source != "window" {
			t.Errorf("%+v", d)
		}
	})
}

// again is the voice of another run over the same state.
func (s *scene) again() *agent.Voice {
	v := s.voice
	return &agent.Voice{Store: v.Store, IDs: v.IDs, Observer: v.Observer, Log: v.Log}
}

// told fails unless exactly these were said of approvals, in this order.
func (s *scene) told(t *testing.T, want ...string) {
	t.Helper()
	got := []string{}
	for _, e := range s.events() {
		if strings.HasPrefix(string(e.Data.Event.Type), "approval.") {
			got = append(got, e.Data.Event.Severity.String()+" "+string(e.Data.Event.Type))
		}
	}
	if !slices.Equal(got, append([]string{}, want...)) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestRevokeOneOfTwo holds that who takes back one of two approvals of a key is told that
// it is still announced, and by which.
func TestRevokeOneOfTwo(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		for _, reason := range []string{"CHG-1", "CHG-2"} {
			a := agent.Approval{Details: event.ApprovalDetails{
				Endpoint: "e000", Thumbprint: new(strings.Repeat("T", 43)), From: new(event.At(time.Now())), Until: new(event.At(time.Now().Add(time.Hour))), By: "iam", Reason: reason, Source: agent.FromCommand,
			}}
			if _, err := s.voice.Grant(t.Context(), time.Now(), a); err != nil {
				t.Fatal(err)
			}
		}
		var ids []string
		all, err := s.voice.Ledger(t.Context(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			ids = append(ids, a.Details.ID)
		}
		for i, says := range []string{"another one still announces it: " + ids[1], "the change is no longer expected"} {
			if _, err := s.voice.Revoke(t.Context(), time.Now(), ids[i], "soc", "x"); err != nil {
				t.Fatal(err)
			}
			list := s.events()
			if m := list[len(list)-1].Data.Event.Message; !strings.Contains(m, says) {
				t.Errorf("%q does not say %q", m, says)
			}
		}
	})
}
