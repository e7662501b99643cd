package agent_test

import (
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
