package configs

import (
	"strings"
	"testing"
	"time"
)

const approval = "endpoint: a, thumbprint: NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs, from: 2026-11-22, until: 2026-12-06, reason: CHG-1, by: iam"

func approvalsOf(text string) (Options, []byte) {
	o := worldOf(map[string]string{"approvals.yaml": text})
	return o, []byte(watched + "approvals: { files: [approvals.yaml] }\n")
}

func TestApprovalsAreRead(t *testing.T) {
	t.Parallel()
	o, text := approvalsOf("version: 1\napprovals:\n  - { " + approval + ", kid: x, alg: ES256, use: sig }\n  - { " + approval + " }\n")
	c, err := Parse("x.yaml", text, o)
	if err != nil {
		t.Fatal(err)
	}
	list := c.Approvals.List
	if len(list) != 2 || list[0].ID == list[1].ID || !strings.HasPrefix(list[0].ID, "ap-") || list[0].Kid != "x" || list[0].Use != "sig" {
		t.Fatalf("%+v", list)
	}
	if from, until := list[0].From, list[0].Until; !from.Equal(time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)) || !until.Equal(time.Date(2026, 12, 7, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("from %s until %s", from, until)
	}
	again, err := Parse("x.yaml", text, o)
	if err != nil || again.Approvals.List[0].ID != list[0].ID {
		t.Errorf("the same text has another id (%v)", err)
	}
}

func TestBadApprovalsAreRefused(t *testing.T) {
	t.Parallel()
	with := func(old, new string) string {
		return "version: 1\napprovals:\n  - { " + strings.Replace(approval, old, new, 1) + " }\n"
	}
	for name, tt := range map[string]struct{ text, want string }{
		"no version":      {"approvals: []\n", "has no version"},
		"no list":         {"version: 1\n", "has no approvals"},
		"no endpoint":     {with("endpoint: a, ", ""), "has no endpoint"},
		"unknown one":     {with("endpoint: a", "endpoint: b"), "no endpoint is named b"},
		"any endpoint":    {with("endpoint: a", "endpoint: \"*\""), "wants a name"},
		"any key":         {with("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "\"*\""), "43 characters of base64url"},
		"a hash in hex":   {with("NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", strings.Repeat("ab", 32)), "43 characters of base64url"},
		"no reason":       {with(", reason: CHG-1", ""), "has no reason"},
		"nobody":          {with(", by: iam", ""), "has no by"},
		"no end":          {with(", until: 2026-12-06", ""), "has no until"},
		"backwards":       {with("until: 2026-12-06", "until: 2026-11-01"), "ends before it begins"},
		"too long":        {with("until: 2026-12-06", "until: 2027-02-20"), "longer than 90 days"},
		"just long":       {with("until: 2026-12-06", "until: 2027-02-19"), ""},
		"no day":          {with("from: 2026-11-22", "from: monday"), "wants a day or a time"},
		"twice":           {with(approval, approval+" }\n  - { "+approval), "stands there twice"},
		"unknown key":     {with("by: iam", "by: iam, wildcard: true"), `unknown key "wildcard"`},
		"another purpose": {with("by: iam", "by: iam, use: any"), "wants sig or enc"},
	} {
		o, text := approvalsOf(tt.text)
		_, err := Parse("x.yaml", text, o)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "approvals.yaml:")):
			t.Errorf("%s: %v", name, err)
		}
	}
}
