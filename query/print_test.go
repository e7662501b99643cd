package query_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/query"
)

// TestPrint holds the tables as people see them.
func TestPrint(t *testing.T) {
	t.Parallel()
	w := past(t)
	s := w.running(query.Live{
		Version: "1.2.3", Started: at(0), Endpoints: []query.LiveEndpoint{
			{Name: "corp", LastGood: at(59), Failures: 2, Phase: "dial", Code: "refused"}, {Name: "partner", LastGood: at(59)},
		},
		Sinks: []query.LiveSink{{Name: "siem", LastError: "no route"}, {Name: "stdout", Connected: true, Parked: 2, Lost: 1}},
	})
	if err := w.db.SetCursor(t.Context(), "stdout", "0000000000000007"); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		print func(*strings.Builder) error
		want  string
	}{
		"status": {func(b *strings.Builder) error {
			r, err := s.Status(t.Context())
			r.StateBytes = 64 << 10
			return errors.Join(err, query.PrintStatus(b, r))
		}, `
daemon           running, version 1.2.3, since 2026-11-22 12:00:00Z
configuration    -
state            64 KiB
endpoints        2: 1 good, 1 failing
open conditions  0
last event       2026-11-22 12:50:00Z low key.reappeared: back
sink siem        not connected, 7 pending since 2026-11-22 12:00:00Z, last error: no route
sink stdout      nothing pending, 2 parked: in the journal only, 1 lost by the receiver
`},
		"endpoints": {func(b *strings.Builder) error {
			r, err := s.Endpoints(t.Context())
			return errors.Join(err, query.PrintEndpoints(b, r))
		}, `
ENDPOINT  STATE    KEYS  LAST GOOD             LAST CHANGE           OPEN  FAILURES        URL
corp      failing  2     2026-11-22 12:59:00Z  2026-11-22 12:50:00Z  -     2 dial refused  https://corp.example/jwks.json?token=***
partner   good     1     2026-11-22 12:59:00Z  2026-11-22 12:45:00Z  -     -               https://partner.example/jwks.json?token=***
`},
		"history": {func(b *strings.Builder) error {
			r, err := s.History(t.Context(), "corp", 3)
			return errors.Join(err, query.PrintHistory(b, r))
		}, `
REVISION  TIME                  KEYS  SET           SEVERITY  EVENT                 MESSAGE
6         2026-11-22 12:50:00Z  2     DIGEST------  low       key.reappeared        back
5         2026-11-22 12:40:00Z  2     same          medium    endpoint.unreachable  again
3         2026-11-22 12:20:00Z  2     DIGEST------  low       key.added             added
                                                    low       key.removed           removed
`},
		"show": {func(b *strings.Builder) error {
			r, err := s.Show(t.Context(), "corp", at(20))
			r.Keys[0].Thumbprint, r.Keys[1].Thumbprint, r.Digest = new("T1"), nil, "sha256:00"
			return errors.Join(err, query.PrintShown(b, r))
		}, `
endpoint  corp
observed  2026-11-22 12:20:00Z (revision 3)
replaced  2026-11-22 12:50:00Z
digest    sha256:00
from      https://corp.example/jwks.json (192.0.2.1:443)

KID  KTY  BITS  ALG  USE  FIRST SEEN            STATE TODAY                THUMBPRINT
a    OKP  256   -    -    -                     live                       T1
c    OKP  256   -    -    2026-11-22 12:20:00Z  gone 2026-11-22 12:50:00Z  (no thumbprint)
`},
		"events": {func(b *strings.Builder) error {
			for raw, err := range s.Events(t.Context(), query.Filter{Limit: 2}) {
				if err := errors.Join(err, query.PrintEventLine(b, raw)); err != nil {
					return err
				}
			}
			return nil
		}, `
2026-11-22 12:45:00Z  informational  baseline.established    partner               of another
2026-11-22 12:50:00Z  low            key.reappeared          corp                  back
`},
	} {
		var b strings.Builder
		if err := c.print(&b); err != nil {
			t.Fatal(what, err)
		}
		got := lines(b.String())
		want := lines(c.want[1:])
		if what == "history" { // digests are not the matter here
			row, err := s.History(t.Context(), "corp", 3)
			if err != nil {
				t.Fatal(err)
			}
			for _, i := range []int{0, 2} {
				digest := strings.TrimPrefix(*row[i].Digest, "sha256:")[:12]
				got = strings.ReplaceAll(got, digest, "DIGEST------")
			}
		}
		if got != want {
			t.Errorf("%s is\n%s\nwant\n%s", what, got, want)
		}
	}
}

// lines drops the spaces at the ends of lines.
func lines(s string) string {
	all := strings.Split(s, "\n")
	for i := range all {
		all[i] = strings.TrimRight(all[i], " ")
	}
	return strings.Join(all, "\n")
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestPrintFails(t *testing.T) {
	t.Parallel()
	w := past(t)
	s := w.resting()
	report, err := s.Status(t.Context())
	shown, err2 := s.Show(t.Context(), "corp", time.Time{})
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"status": query.PrintStatus(full{}, report), "endpoints": query.PrintEndpoints(full{}, nil), "history": query.PrintHistory(full{}, nil),
		"show": query.PrintShown(full{}, shown), "line": query.PrintEventLine(full{}, []byte(`{}`)), "event": query.PrintEvent(full{}, []byte(`{}`)),
	} {
		if err == nil || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("%s: error is %v", what, err)
		}
	}
	for _, b := range []string{"", "{", "[]"} {
		if query.PrintEventLine(full{}, []byte(b)) == nil || query.PrintEvent(full{}, []byte(b)) == nil {
			t.Errorf("%q is printed", b)
		}
	}
}
