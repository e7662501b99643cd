package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// canaries are secrets by what they are; none may be found anywhere.
type canaries map[string][]byte

// add notes a secret in the forms in which it could be printed.
func (c canaries) add(what, secret string) string {
	c[what] = []byte(secret)
	c[what+", base64"] = []byte(strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(secret)), "="))
	c[what+", hexadecimal"] = []byte(hex.EncodeToString([]byte(secret)))
	return secret
}

// number notes a private member of a key: its base64url, and its octets as they
// are, in hexadecimal and in base64.
func (c canaries) number(t *testing.T, what string, v any) {
	t.Helper()
	text, ok := v.(string)
	octets, err := base64.RawURLEncoding.DecodeString(text)
	if !ok || err != nil || len(octets) < 16 {
		t.Fatalf("%s is no secret: %v (%v)", what, v, err)
	}
	c[what] = []byte(text)
	c[what+", octets"] = octets
	c[what+", base64"] = []byte(strings.TrimRight(base64.StdEncoding.EncodeToString(octets), "="))
	c[what+", hexadecimal"] = []byte(hex.EncodeToString(octets))
	sum := sha256.Sum256(octets)
	c[what+", hash"] = []byte(hex.EncodeToString(sum[:]))
}

func (c canaries) look(t *testing.T, where string, b []byte) {
	t.Helper()
	for what, secret := range c {
		if i := bytes.Index(b, secret); i >= 0 {
			t.Errorf("%s: %s is in it: …%q…", where, what, b[max(0, i-60):min(len(b), i+60)])
		}
	}
}

// leaks is a set with every private member there is, beside the honest keys.
func leaks(t *testing.T, c canaries) lab.Answer {
	t.Helper()
	filler := func(seed string, n int) string {
		var out []byte
		for i := 0; len(out) < n; i++ {
			sum := sha256.Sum256(fmt.Append(nil, seed, i))
			out = append(out, sum[:]...)
		}
		return base64.RawURLEncoding.EncodeToString(out[:n])
	}
	entries := []map[string]any{
		lab.NewRSA("leak-rsa", 2048).Private(), lab.NewEC("leak-ec", "P-256").Private(), lab.NewEd25519("leak-okp").Private(), lab.NewOct("leak-oct").Private(),
		{"kty": "AKP", "kid": "leak-akp", "alg": "ML-DSA-44", "pub": filler("pub", 1312), "priv": filler("priv", 32)},
	}
	many := lab.NewRSA("leak-oth", 2048).Private()
	many["oth"] = []any{map[string]any{"r": filler("r", 128), "d": filler("d", 128), "t": filler("t", 128)}}
	entries = append(entries, many)
	var texts []string
	for _, e := range entries {
		for _, member := range []string{"d", "p", "q", "dp", "dq", "qi", "k", "priv"} {
			if v, ok := e[member]; ok {
				c.number(t, fmt.Sprint(member, " of ", e["kid"]), v)
			}
		}
		if k, ok := e["k"].(string); ok { // RFC 7638: what would be its thumbprint is a hash of the secret
			sum := sha256.Sum256(fmt.Appendf(nil, `{"k":%q,"kty":"oct"}`, k))
			c["thumbprint of oct"] = []byte(base64.RawURLEncoding.EncodeToString(sum[:]))
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, string(b))
	}
	for member, v := range many["oth"].([]any)[0].(map[string]any) {
		c.number(t, member+" of oth", v)
	}
	return lab.Beside(texts...)
}

// echo answers with what it was asked, everywhere a server may put text.
func echo(status int) lab.Answer {
	return func(w http.ResponseWriter, r *http.Request, _ []byte) {
		said := r.Header.Get("Authorization") + " " + r.URL.RawQuery
		for _, name := range []string{"ETag", "Cache-Control", "Content-Type", "WWW-Authenticate", "Server", "Age", "Via"} {
			w.Header().Set(name, said)
		}
		w.Header().Set("Location", "/else?"+r.URL.RawQuery)
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"error":%q}`, said)
	}
}

// beyond answers honestly and sends more than it said it would.
func beyond(text string) lab.Answer {
	return func(w http.ResponseWriter, _ *http.Request, current []byte) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s%s", len(current), current, text)
		_, _ = conn.Read(make([]byte, 1)) // until the client has enough of it
	}
}

// TestNoSecretAnywhere runs the real binary with a secret in every place that
// takes one, through good polls, leaks of every private member, servers that send
// back what they were sent, refused credentials, reloads that fail, every command
// that asks, and a dump of its goroutines at the end: no secret is in a line, an
// answer, the metrics, a delivery or a file.
func TestNoSecretAnywhere(t *testing.T) {
	t.Parallel()
	secrets, dir, c := t.TempDir(), t.TempDir(), canaries{}
	issuer := &lab.Issuer{}
	signer := lab.NewEC("a", "P-256")
	issuer.Publish(signer, lab.NewRSA("b", 2048))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	mutual := clientTLS(t, c, secrets, issuer)
	broker := lockedNATS(t, c.add("password of NATS", "canary-nats-password-93"))
	refused := make(chan http.Header, 1000)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refused <- r.Header.Clone()
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, r.Header)
	}))
	defer hook.Close()

	write(t, secrets, "header", c.add("header of a file", "canary-header-of-file-17"))
	write(t, secrets, "nats", "canary-nats-password-93\n")
	write(t, secrets, "nats-wrong", c.add("wrong token of NATS", "canary-nats-token-55")+"\n")
	token := c.add("token of the listener", "canary-web-token-0123456789")
	write(t, secrets, "web", token+"\n")
	key := base64.StdEncoding.EncodeToString([]byte(c.add("secret of the webhook", "canary-webhook-secret-0123456789")))
	write(t, secrets, "hook", "whsec_"+key+"\n")
	session := c.add("value of a query", "canary-query-4711")
	inline := c.add("header of the configuration", "canary-header-inline-29")
	path := write(t, secrets, "jwkswatch.yaml", fmt.Sprintf(`state: { path: %[1]s/state.db }
poll: { interval: 1s, timeout: 5s }
endpoints:
  - { name: idp, jwks_uri: "%[2]s/jwks?session=%[3]s", allow_private: true, headers: { Authorization: "Bearer ${file:header}", X-Key: %[4]q } }
  - { name: mutual, jwks_uri: %[5]q, allow_private: true, tls: { ca_file: ca.pem, cert_file: client.pem, key_file: client.key } }
  - { name: nobody, jwks_uri: "http://127.0.0.1:1/jwks?session=%[3]s", allow_private: true, headers: { Authorization: "Bearer ${file:header}" } }
sinks:
  - { name: stdout, type: log }
  - { name: file, type: file, path: %[1]s/events.jsonl }
  - { name: siem, type: nats, url: %[6]q, stream: JWKSWATCH, subject: jwkswatch.v1, user: agent, password_file: nats }
  - { name: wrong, type: nats, url: %[6]q, stream: JWKSWATCH, subject: jwkswatch.v1, token_file: nats-wrong }
  - { name: hook, type: webhook, url: "%[7]s/in", secret_file: hook }
web: { listen: "127.0.0.1:0", token_file: web }
observer: { name: soc-1, heartbeat: 1s }
`, dir, url, session, inline, mutual, broker, hook.URL))
	d := startDaemon(t, path)
	base := "http://" + d.webAddr(t)
	says := func(what string) {
		t.Helper()
		for deadline := time.Now().Add(patience); !strings.Contains(d.out.String()+d.errs.String(), what); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("not said: %s\n%s\n%s", what, d.out, d.errs)
			}
		}
	}
	says(`"type":"jwkswatch.baseline.established.v1"`)
	polls := issuer.Count()
	issuer.Answer(beyond(c.add("text beyond an answer", "canary-beyond-the-answer-61")))
	for deadline := time.Now().Add(patience); issuer.Count() < polls+6; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the issuer is not asked any more")
		}
	}
	issuer.Answer(leaks(t, c))
	for _, kid := range []string{"leak-rsa", "leak-ec", "leak-okp", "leak-oct", "leak-akp", "leak-oth"} {
		says(`"kid":"` + kid)
	}
	says(`"type":"jwkswatch.key.private.v1"`)
	issuer.Answer(echo(http.StatusUnauthorized))
	says(`"type":"jwkswatch.endpoint.unreachable.v1"`)
	issuer.Answer(echo(http.StatusFound))
	time.Sleep(1500 * time.Millisecond)
	issuer.Answer(echo(http.StatusOK))
	says(`"type":"jwkswatch.document.invalid.v1"`)

	refusedConfigs(t, d, c, path, token)
	asked(t, d, c, path, dir, url+"/jwks?session="+session, signer)
	for _, bearer := range []string{"", "wrong", token} {
		for _, path := range []string{"/metrics", "/readyz", "/livez", "/?" + session} {
			c.look(t, path, scraped(t, base+path, bearer))
		}
	}
	says("hook") // its refusals
	select {
	case h := <-refused:
		c.look(t, "what the webhook was sent", fmt.Append(nil, h))
	default:
		t.Error("the webhook was never asked")
	}
	if !slices.ContainsFunc(issuer.Served(), func(s lab.Served) bool {
		return strings.Contains(s.Header.Get("Authorization"), "canary-header-of-file-17")
	}) {
		t.Error("the issuer was never sent the header: nothing was tried")
	}
	// The end that shows most: every goroutine with its stack.
	if err := d.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_ = d.cmd.Wait()
	if !strings.Contains(d.errs.String(), "goroutine ") {
		t.Error("no dump of goroutines")
	}
	c.look(t, "standard error", []byte(d.errs.String()))
	c.look(t, "standard output", []byte(d.out.String()))
	c.look(t, "the state, unpacked", unpacked(t, dir+"/state.db"))
	files(t, c, dir)
}

// refusedConfigs tries configurations with a secret where the mistake is.
func refusedConfigs(t *testing.T, d *process, c canaries, path, token string) {
	t.Helper()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i, bad := range []string{
		strings.Replace(string(good), `X-Key: "`, `"X Key": "`, 1),
		strings.Replace(string(good), "headers: {", "headers: [{", 1),
		strings.Replace(string(good), "127.0.0.1:1/jwks", "user:"+c.add("password of a URL", "canary-userinfo-88")+"@127.0.0.1:1/jwks", 1),
		strings.Replace(string(good), "web: {", "web: { token: "+token+",", 1),
		strings.Replace(string(good), "${file:header}", "${file:header", 1),
		strings.Replace(string(good), "X-Key: ", "headers: { Authorization: ", 1),
	} {
		if bad == string(good) {
			t.Fatalf("configuration %d is no other", i)
		}
		write(t, filepath.Dir(path), "jwkswatch.yaml", bad)
		for _, command := range [][]string{{"config", "check", path}, {"config", "show", path}, {"reload", "-c", path}} {
			out, code := d.cli(t, "", command...)
			c.look(t, strings.Join(command, " "), out)
			if code == exitOK {
				t.Errorf("%q took configuration %d", command, i)
			}
		}
	}
	write(t, filepath.Dir(path), "jwkswatch.yaml", string(good))
}

// asked runs every command that asks.
func asked(t *testing.T, d *process, c canaries, path, dir, url string, signer lab.Key) {
	t.Helper()
	jwt := signed(t, c, signer)
	for _, ask := range []struct {
		in   string
		args []string
	}{
		{"", []string{"config", "show", path}},
		{"", []string{"config", "show", path, "-o", "json"}},
		{"", []string{"reload", "-c", path}},
		{"", []string{"status", "-c", path, "-o", "json"}},
		{"", []string{"endpoints", "-c", path, "-o", "json"}},
		{"", []string{"endpoints", "-c", path}},
		{"", []string{"events", "-c", path, "-o", "json"}},
		{"", []string{"history", "idp", "-c", path, "-o", "json"}},
		{"", []string{"show", "idp", "-c", path, "-o", "json"}},
		{"", []string{"explain", "key.private"}},
		{"", []string{"backup", dir + "/backup.db", "-c", path}},
		{"", []string{"drill", "-c", path, "--endpoint", "idp", "--scenario", "key.private", "--timeout", "1s"}},
		{jwt, []string{"token", "-c", path, "-"}},
		{jwt, []string{"token", "-c", path, "-o", "json", "-"}},
		{jwt[:len(jwt)-9], []string{"token", "-c", path, "-"}},
		{"Bearer " + strings.ReplaceAll(jwt, ".", "!"), []string{"token", "-c", path, "-"}},
		{"", []string{"lint", url, "--allow-private"}},
		{"", []string{"lint", "http://nobody:canary-userinfo-88@127.0.0.1:1/"}},
		{"", []string{"verify", dir + "/events.jsonl"}},
	} {
		out, _ := d.cli(t, ask.in, ask.args...)
		if len(out) == 0 {
			t.Errorf("%q says nothing", ask.args)
		}
		c.look(t, strings.Join(ask.args[:1], " "), out)
	}
}

// clientTLS serves the issuer to who shows a client certificate, and writes what
// the client needs.
func clientTLS(t *testing.T, c canaries, dir string, issuer *lab.Issuer) (url string) {
	t.Helper()
	authority, err := lab.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Issue(lab.Leaf{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := authority.Issue(lab.Leaf{Client: true, Hosts: []string{"agent"}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := x509.MarshalPKCS8PrivateKey(client.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	c.add("key of the client", strings.Split(text, "\n")[1])
	c["key of the client, octets"] = key[len(key)/3 : len(key)/3+24]
	write(t, dir, "client.key", text)
	for name, der := range map[string][]byte{"client.pem": client.Certificate[0], "ca.pem": authority.Certificate().Raw} {
		write(t, dir, name, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(issuer.Serve(tls.NewListener(l, &tls.Config{
		Certificates: []tls.Certificate{leaf}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Roots(), MinVersion: tls.VersionTLS12,
	})))
	return "https://" + l.Addr().String() + "/jwks"
}

// lockedNATS is a server that wants a user and a password.
func lockedNATS(t *testing.T, password string) (url string) {
	t.Helper()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true, Username: "agent", Password: password,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(s.Shutdown)
	if !s.ReadyForConnections(patience) {
		t.Fatal("nats-server is not ready")
	}
	return s.ClientURL()
}

// signed is a token that the key signed. Its claims and its signature are secrets.
func signed(t *testing.T, c canaries, k lab.Key) string {
	t.Helper()
	part := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(b)
	}
	claims := part(map[string]any{"iat": time.Now().Unix(), "sub": c.add("subject of the token", "canary-subject-61")})
	said := part(map[string]any{"alg": "ES256", "kid": k.Kid}) + "." + claims
	sum := sha256.Sum256([]byte(said))
	x, y, err := ecdsa.Sign(rand.Reader, k.Signer().(*ecdsa.PrivateKey), sum[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := base64.RawURLEncoding.EncodeToString(append(x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32))...))
	c["claims of the token"], c["signature of the token"] = []byte(claims), []byte(signature)
	return said + "." + signature
}

// cli runs a command of the real binary.
func (d *process) cli(t *testing.T, in string, args ...string) (out []byte, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), built(t), args...)
	cmd.Stdin = strings.NewReader(in)
	out, _ = cmd.CombinedOutput()
	return out, cmd.ProcessState.ExitCode()
}

// scraped is an answer of the listener with its headers.
func scraped(t *testing.T, url, bearer string) []byte {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return append(fmt.Append(nil, resp.Header), b...)
}

// unpacked is all that a state holds, as it was before it was compressed.
func unpacked(t *testing.T, path string) []byte {
	t.Helper()
	db, err := bolt.OpenCopy(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var all bytes.Buffer
	for e, err := range db.Events(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		all.Write(e.JSON)
	}
	for _, name := range []string{"idp", "mutual", "nobody", "_agent"} {
		for r, err := range db.Snapshots(t.Context(), name) {
			if err != nil {
				t.Fatal(err)
			}
			all.Write(r.Body)
			all.Write(r.Memory)
			all.Write(r.Evidence)
		}
		r, err := db.Latest(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(r.Memory)
	}
	if !bytes.Contains(all.Bytes(), []byte("leak-akp")) {
		t.Error("the leak is not in the state: nothing was tried")
	}
	return all.Bytes()
}

// files looks into every file that the daemon wrote.
func files(t *testing.T, c canaries, dir string) {
	t.Helper()
	seen := 0
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		c.look(t, filepath.Base(path), b)
		seen++
		return err
	})
	if err != nil || seen < 4 {
		t.Errorf("%d files (%v)", seen, err)
	}
	t.Logf("%d forms of secrets in %d files: none found", len(c), seen)
}
