package configs

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const before = `state: { path: /s/x.db }
poll: { interval: 1m }
endpoints:
  - { name: crit, issuer: "https://crit.example", tier: critical, tls: { ca_file: ca.pem, pins: ["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="] } }
  - { name: std, jwks_uri: "https://std.example/", headers: { A: "${file:secret}" } }
sinks: [{ name: out, type: log }, { name: siem, type: nats, url: "tls://a.example", stream: S }]
web: { tls: { cert_file: client.pem, key_file: client.key }, token_file: token }
observer: { name: soc-1, vantage: eu }
`

func TestChanges(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		replace []string
		files   map[string]string
		want    Delta
	}{
		"nothing":             {[]string{"state:", "# a comment\nstate:"}, nil, Delta{}},
		"an endpoint more":    {[]string{"  - { name: std", "  - { name: new, issuer: \"https://n.example\" }\n  - { name: std"}, nil, Delta{EndpointsAdded: []string{"new"}}},
		"an endpoint renamed": {[]string{"name: std", "name: other"}, nil, Delta{EndpointsAdded: []string{"other"}, EndpointsRemoved: []string{"std"}, Shrinks: []string{"endpoint std is removed"}}},
		"a critical one renamed": {[]string{"name: crit", "name: other"}, nil, Delta{
			EndpointsAdded: []string{"other"}, EndpointsRemoved: []string{"crit"}, Critical: true, Shrinks: []string{"critical endpoint crit is removed"},
		}},
		"a lower tier":     {[]string{"tier: critical", "tier: low"}, nil, changed("crit", "tier is lowered from critical to low")},
		"a rotated secret": {nil, map[string]string{"secret": "another"}, Delta{EndpointsChanged: []string{"std"}}},
		"pins dropped":     {[]string{`, pins: ["sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]`, ""}, nil, changed("crit", "pins are dropped")},
		"pins more":        {[]string{`AAA="]`, `AAA=", "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]`}, nil, changed("crit", "more pins are accepted")},
		"pins rotated":     {[]string{`sha256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=`, "sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}, nil, changed("crit")},
		"CA dropped":       {[]string{"ca_file: ca.pem, ", ""}, nil, changed("crit", "its own certificate authorities are dropped, those of the system are trusted")},
		"CA rotated":       {nil, map[string]string{"ca.pem": "@client.pem"}, changed("crit")},
		"discovery left":   {[]string{"issuer:", "jwks_uri:"}, nil, changed("crit", "its discovery document is no longer watched")},
		"redirects":        {[]string{"tier: critical", "tier: critical, redirects: same-host"}, nil, changed("crit", "redirects are followed")},
		"its addresses":    {[]string{"tier: critical", "tier: critical, addresses: each"}, nil, changed("crit")},
		"allow_private":    {[]string{"tier: critical", "tier: critical, allow_private: true"}, nil, changed("crit", "allow_private is turned on")},
		"a proxy":          {[]string{"tier: critical", "tier: critical, proxy: \"http://p:80\""}, nil, changed("crit", "a proxy stands before it, and its addresses are no longer guarded")},
		"smaller answers":  {[]string{"tier: critical", "tier: critical, max_body: 1KiB"}, nil, changed("crit", "max_body is lowered from 4MiB to 1KiB")},
		"a default of poll": {[]string{"interval: 1m", "interval: 1h"}, nil, Delta{
			EndpointsChanged: []string{"crit", "std"}, Shrinks: []string{"endpoint crit: interval is raised from 1m to 1h", "endpoint std: interval is raised from 1m to 1h"},
		}},
		"sinks":          {[]string{"name: out", "name: new", "stream: S", "stream: T"}, nil, Delta{SinksAdded: []string{"new"}, SinksRemoved: []string{"out"}, SinksChanged: []string{"siem"}, Shrinks: []string{"sink out is removed", "sink siem: events go to another receiver"}}},
		"a muted sink":   {[]string{"stream: S", "stream: S, min_severity: critical, max_backlog: 100"}, nil, Delta{SinksChanged: []string{"siem"}, Shrinks: []string{"sink siem: max_backlog is lowered from 1000000 to 100", "sink siem: min_severity is raised from informational to critical"}}},
		"a format":       {[]string{"stream: S", "stream: S, format: ecs"}, nil, Delta{SinksChanged: []string{"siem"}}},
		"in clear text":  {[]string{"tls://a.example\", stream: S", "nats://a.example\", insecure: true, stream: S"}, nil, Delta{SinksChanged: []string{"siem"}, Shrinks: []string{"sink siem: events go to another receiver", "sink siem: insecure is turned on"}}},
		"a named sink's": {[]string{"name: out, type: log", "name: out, type: file, path: /var/log/x"}, nil, Delta{SinksChanged: []string{"out"}, Shrinks: []string{"sink out: events go to another receiver"}}},
		"the state":      {[]string{"/s/x.db", "/s/y.db"}, nil, Delta{Restart: []string{"state.path"}}},
		"the observer":   {[]string{"soc-1, vantage: eu", "soc-2, vantage: us, heartbeat: off"}, nil, Delta{Restart: []string{"observer.name"}, Settings: []string{"observer.heartbeat", "observer.vantage"}, Shrinks: []string{"observer.heartbeat is turned off"}}},
		"less kept":      {[]string{"x.db }", "x.db, retain: 30d }"}, nil, Delta{Settings: []string{"state.retain"}, Shrinks: []string{"state.retain is lowered from 400d to 30d"}}},
		"no web":         {[]string{"web:", "#web:"}, nil, Delta{Restart: []string{"web"}}},
		"the token":      {nil, map[string]string{"token": "another-0123456789"}, Delta{Restart: []string{"web.token_file"}}},
		"web": {
			[]string{"web: {", "web: { listen: \"[::1]:1\","},
			map[string]string{"client.pem": "@ca.pem", "client.key": "@ca.key"},
			Delta{Restart: []string{"web.listen", "web.tls"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old, err := Parse("x.yaml", []byte(before), world())
			if err != nil {
				t.Fatal(err)
			}
			next, err := Parse("x.yaml", []byte(strings.NewReplacer(c.replace...).Replace(before)), worldOf(c.files))
			if err != nil {
				t.Fatal(err)
			}
			got := Changes(old, next)
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("got\n%+v\nwant\n%+v", got, c.want)
			}
			if got.Empty() != (got.String() == "nothing changed") || got.Empty() != (name == "nothing") {
				t.Errorf("Empty is %v of %q", got.Empty(), got.String())
			}
			if all := got.String() + strings.Join(got.Shrinks, ""); strings.Contains(all, canary) {
				t.Errorf("the changes hold a secret: %s", all)
			}
			// A restart tells the same, but for what is secret and for what only two whole
			// configurations show.
			stored := old.Posture().Encode()
			since, err := next.Posture().Since(stored)
			if err != nil || strings.Contains(string(stored), canary) {
				t.Fatalf("the posture holds a secret, or is not read (%v): %s", err, stored)
			}
			same := since
			same.Restart = got.Restart
			if strings.Contains(name, "secret") {
				same.EndpointsChanged = got.EndpointsChanged
			}
			if name == "the observer" {
				same.Settings = got.Settings // the vantage is in every event
			}
			if !reflect.DeepEqual(same, got) {
				t.Errorf("over a restart\n%+v\nat a reload\n%+v", since, got)
			}
			// Back again nothing shrinks that had not grown, and the lists turn round.
			if back := Changes(next, old); !slices.Equal(back.EndpointsAdded, got.EndpointsRemoved) || !slices.Equal(back.Restart, got.Restart) || !slices.Equal(back.EndpointsChanged, got.EndpointsChanged) {
				t.Errorf("back: %+v", back)
			}
		})
	}
}

// TestAPostureOfAnEarlierProgram holds that one which knows only the types of sinks finds
// nothing that it cannot know.
func TestAPostureOfAnEarlierProgram(t *testing.T) {
	t.Parallel()
	c := good(t, before)
	var stored map[string]any
	if err := json.Unmarshal(c.Posture().Encode(), &stored); err != nil {
		t.Fatal(err)
	}
	delete(stored, "outlets")
	b, err := json.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := good(t, strings.Replace(before, "stream: S", "stream: T", 1)).Posture().Since(b); err != nil || !d.Empty() {
		t.Errorf("%+v, %v", d, err)
	}
}

func changed(endpoint string, what ...string) Delta {
	d := Delta{EndpointsChanged: []string{endpoint}}
	for _, w := range what {
		d.Shrinks = append(d.Shrinks, "endpoint "+endpoint+": "+w)
	}
	return d
}

func TestSocketStandsBesideTheState(t *testing.T) {
	t.Parallel()
	c := good(t, before)
	if got := c.State.Socket(); got != "/s/x.db.sock" {
		t.Errorf("the socket is %s", got)
	}
	dir := "/" + strings.Repeat("d", 97)
	for path, ok := range map[string]bool{dir + "/x.y": true, dir + "/xy.z": false} {
		_, err := Parse("x.yaml", []byte(strings.Replace(before, "/s/x.db", path, 1)), world())
		if (err == nil) != ok {
			t.Errorf("a socket of %d octets: %v", len(path)+5, err)
		}
	}
}
