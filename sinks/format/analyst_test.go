package format_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/sinks/format"
)

// TestObservables holds that who asks for the thumbprint of any key of an event finds it.
func TestObservables(t *testing.T) {
	t.Parallel()
	seen := 0
	for name, stored := range goldens(t) {
		var e struct {
			Data struct {
				Key      *struct{ Thumbprint string }
				Previous *struct{ Thumbprint string } `json:"previous_key"`
				Keys     []struct{ Thumbprint string }
			}
		}
		if err := json.Unmarshal(stored, &e); err != nil {
			t.Fatal(err)
		}
		all := e.Data.Keys
		for _, k := range []*struct{ Thumbprint string }{e.Data.Key, e.Data.Previous} {
			if k != nil {
				all = append(all, *k)
			}
		}
		observables := fmt.Sprint(decoded(t, format.OCSF, stored)["observables"])
		for _, k := range all {
			if seen++; !strings.Contains(observables, k.Thumbprint) {
				t.Errorf("%s: no observable is %s", name, k.Thumbprint)
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d keys", seen)
	}
}

// TestApprovals holds that who asks for an endpoint or a key finds what was approved of
// it, in every format: the event itself stands in the stream of the agent.
func TestApprovals(t *testing.T) {
	t.Parallel()
	const thumbprint = "dAQmUP2Jal_HN2YNw-SnbfBc69iGSQztYNcd_3OE5Yo"
	for _, name := range []string{"approval.granted", "approval.used", "approval.revoked", "approval.expired"} {
		stored := goldens(t)[name]
		ecs := decoded(t, format.ECS, stored)
		if hash := ecs["related"].(map[string]any)["hash"].([]any); ecs["service"].(map[string]any)["name"] != "corp-idp" || !slices.Contains(hash, any(thumbprint)) {
			t.Errorf("%s: ECS has %v, %v", name, ecs["service"], hash)
		}
		_, fields, err := parseCEF(string(as(t, format.CEF, stored)))
		if err != nil || fields["cs2"] != thumbprint || fields["cs3"] != "corp-idp" || fields["cs1"] != "2026-11-a" {
			t.Errorf("%s: CEF has %v, %v", name, fields, err)
		}
		entity := decoded(t, format.OCSF, stored)["entity"].(map[string]any)
		if entity["uid"] != "ap-7q3mxk2f" || entity["name"] != "corp-idp" || entity["data"].(map[string]any)["thumbprint"] != thumbprint {
			t.Errorf("%s: OCSF has %v", name, entity)
		}
	}
}
