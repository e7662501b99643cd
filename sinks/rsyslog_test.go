//go:build unix

package sinks

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/state"
)

// rsyslog is a real receiver in a process of its own. It writes each message as it
// came, one a line.
type rsyslog struct {
	t       *testing.T
	dir     string
	address string
	cmd     *exec.Cmd
}

// newRsyslog starts a receiver on a free port: over TLS when it has a certificate,
// and then for clients alone whose certificate comes from the authority.
func newRsyslog(t *testing.T, cert *tls.Certificate, authority *lab.Authority) *rsyslog {
	t.Helper()
	if _, err := exec.LookPath("rsyslogd"); err != nil {
		t.Skip("SKIPPED: no rsyslogd in PATH; install Debian's packages rsyslog and rsyslog-gnutls")
	}
	port := freePort(t)
	r := &rsyslog{t: t, dir: t.TempDir(), address: fmt.Sprint("127.0.0.1:", port)}
	secure, files := "", ""
	if cert != nil {
		key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		r.put("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: authority.Certificate().Raw}))
		r.put("cert.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}))
		r.put("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
		files = fmt.Sprintf(` defaultNetstreamDriverCAFile="%[1]s/ca.pem" defaultNetstreamDriverCertFile="%[1]s/cert.pem" defaultNetstreamDriverKeyFile="%[1]s/key.pem"`, r.dir)
		secure = ` streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="x509/certvalid"`
	}
	r.put("rsyslog.conf", fmt.Appendf(nil, `global(workDirectory="%s" maxMessageSize="128k"%s)
module(load="imtcp"%s)
input(type="imtcp" address="127.0.0.1" port="%d")
template(name="whole" type="string" string="%%rawmsg%%\n")
*.* action(type="omfile" file="%s/received.log" template="whole")
`, r.dir, files, secure, port, r.dir))
	r.start()
	t.Cleanup(func() { r.stop(syscall.SIGKILL) })
	return r
}

func (r *rsyslog) put(name string, b []byte) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), b, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// start returns when the receiver takes connections.
func (r *rsyslog) start() {
	r.t.Helper()
	r.cmd = exec.Command("rsyslogd", "-n", "-f", filepath.Join(r.dir, "rsyslog.conf"), "-i", filepath.Join(r.dir, "rsyslog.pid"))
	if err := r.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	eventually(r.t, "rsyslogd takes connections", func() bool {
		c, err := net.Dial("tcp", r.address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// stop ends the process and waits for it.
func (r *rsyslog) stop(signal syscall.Signal) {
	_ = r.cmd.Process.Signal(signal)
	_ = r.cmd.Wait()
	_ = os.Remove(filepath.Join(r.dir, "rsyslog.pid"))
}

// received are the whole lines of the file.
func (r *rsyslog) received() []string {
	b, err := os.ReadFile(filepath.Join(r.dir, "received.log"))
	if err != nil {
		return nil
	}
	b = b[:bytes.LastIndexByte(b, '\n')+1]
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// arrived are the events by their first arrival, read by a parser that is not ours
// and held against what was sent.
func (r *rsyslog) arrived(sent map[string]string) (ids []string, repeated int) {
	r.t.Helper()
	for _, line := range r.received() {
		parsed, err := rfc5424.NewParser().Parse([]byte(line))
		if err != nil {
			r.t.Fatalf("%v: %q", err, line)
		}
		m := parsed.(*rfc5424.SyslogMessage)
		var e struct{ ID string }
		if m.Message == nil || json.Unmarshal([]byte(*m.Message), &e) != nil || sent[e.ID] != *m.Message {
			r.t.Fatalf("arrived: %q", line)
		}
		if slices.Contains(ids, e.ID) {
			repeated++
			continue
		}
		ids = append(ids, e.ID)
	}
	return ids, repeated
}

// TestRsyslog delivers to rsyslog over TCP and over TLS with certificates on both
// sides, while it is stopped and killed in the middle: every event arrives, octet by
// octet and in order but for repetitions.
func TestRsyslog(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "tls"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			s := &Syslog{Sink: "collector", Network: network, Facility: 16, Settle: 100 * time.Millisecond}
			defer s.Close()
			var r *rsyslog
			if network == "tls" {
				authority, err := lab.NewAuthority()
				if err != nil {
					t.Fatal(err)
				}
				cert, err := authority.Issue(lab.Leaf{Hosts: []string{"127.0.0.1"}})
				if err != nil {
					t.Fatal(err)
				}
				client, err := authority.Issue(lab.Leaf{Hosts: []string{"agent"}, Client: true})
				if err != nil {
					t.Fatal(err)
				}
				r = newRsyslog(t, &cert, authority)
				s.TLS = func() (*tls.Config, error) {
					return &tls.Config{RootCAs: authority.Roots(), Certificates: []tls.Certificate{client}, MinVersion: tls.VersionTLS12}, nil
				}
				refusedByRsyslog(t, r.address, authority)
			} else {
				r = newRsyslog(t, nil, nil)
			}
			s.Address = r.address
			const n, step = 1500, 25
			var all []state.Entry
			sent := map[string]string{}
			for i := range n {
				e := sampleOf(i, "ep", "key.added", event.SeverityHigh, "<13>1 - - - - - - schlüssel ]\" \\ 鍵")
				all = append(all, e)
				sent[e.ID] = string(e.JSON)
			}
			j := newJournal()
			d, stop := deliver(t, j, s, (&ops{}).logger())
			for i := 0; i < n; i += step {
				j.add(all[i : i+step]...)
				eventually(t, "it is taken", func() bool { return d.Stats().Sent >= uint64(i+step) })
				switch i {
				case n / 3 / step * step:
					r.stop(syscall.SIGTERM)
					r.start()
				case 2 * n / 3 / step * step:
					r.stop(syscall.SIGKILL)
					r.start()
				}
			}
			eventually(t, "the last one has arrived", func() bool {
				return strings.Contains(strings.Join(r.received(), "\n"), all[n-1].ID)
			})
			stop()
			got, repeated := r.arrived(sent)
			if !slices.Equal(got, idsOf(all)) {
				t.Errorf("%d of %d arrived, or not in order", len(got), n)
			}
			t.Logf("%s: %d arrived, %d repeated", network, len(got), repeated)
		})
	}
}

// refusedByRsyslog holds that a receiver which refuses us is a failure with a reason:
// without a certificate of our own, and in clear text.
func refusedByRsyslog(t *testing.T, address string, authority *lab.Authority) {
	t.Helper()
	for name, s := range map[string]*Syslog{
		"no certificate": {Network: "tls", TLS: func() (*tls.Config, error) {
			return &tls.Config{RootCAs: authority.Roots(), MinVersion: tls.VersionTLS12}, nil
		}},
		"clear text": {Network: "tcp"},
	} {
		s.Sink, s.Address, s.Facility = "refused", address, 16
		n, err := s.Send(t.Context(), samples(2, 1))
		if n != 0 || err == nil {
			t.Errorf("%s: %d sent, %v", name, n, err)
		}
		t.Logf("%s: %v", name, err)
		_ = s.Close()
	}
}
