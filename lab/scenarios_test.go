package lab

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// limit is what the reader of these tests takes, in octets after decompression.
const limit = 8 << 20

var errLimit = errors.New("over the limit")

// look asks once as a careful reader does and says what came of it.
func look(t *testing.T, client *http.Client, url string) (Outcome, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := client.Do(r)
	if err != nil {
		return Broken, nil
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return Broken, nil
		}
		return Refused, nil
	}
	body, err := read(answer)
	switch {
	case errors.Is(err, errLimit):
		return Excess, body
	case err != nil:
		return Broken, body
	}
	return judge(body), body
}

func read(answer *http.Response) ([]byte, error) {
	var from io.Reader = answer.Body
	if answer.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, err
		}
		from = z
	}
	body, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && len(body) > limit {
		err = errLimit
	}
	return body, err
}

// judge is the shape of a complete body, by encoding/json and with care for what
// that forgives: capitals, repeated members.
func judge(body []byte) Outcome {
	if !json.Valid(body) {
		return Invalid
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	depth, deepest, members := 0, 0, 0
	for name := true; ; {
		token, err := dec.Token()
		if err != nil {
			break
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			deepest = max(deepest, depth)
			name = true
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			name = true
			continue
		}
		if depth == 1 {
			if name && token == "keys" {
				members++
			}
			name = !name
		}
	}
	var top map[string]json.RawMessage
	var keys []json.RawMessage
	switch {
	case json.Unmarshal(body, &top) != nil, json.Unmarshal(top["keys"], &keys) != nil, keys == nil:
		return Invalid
	case members > 1:
		return Ambiguous
	case deepest > 64, len(keys) > 4096:
		return Excess
	}
	return Whole
}

func TestScenariosAnswerWhatTheySay(t *testing.T) {
	t.Parallel()
	for _, sc := range Scenarios() {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			answer := sc.New()
			synctest.Test(t, func(t *testing.T) {
				i := &Issuer{}
				own := Ed25519FromSeed("own", "own")
				i.Publish(own, Ed25519FromSeed("beside", "beside"))
				i.Answer(answer)
				pipe := NewPipe()
				stop := i.Serve(pipe)
				defer stop() // a goroutine that stays behind fails the bubble
				transport := &http.Transport{DialContext: pipe.Dial, DisableCompression: true}
				defer transport.CloseIdleConnections()
				client := &http.Client{
					Transport: transport, Timeout: time.Minute,
					CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
				}
				first, body := look(t, client, "http://127.0.0.1:80/jwks")
				want := sc.Outcome
				if want == Varies {
					want = Whole
				}
				if first != want {
					t.Fatalf("the answer is %s, the book says %s\n%.300q", first, sc.Outcome, body)
				}
				if own := own.Public()["x"].(string); want == Whole && sc.Name != "empty-set" && !bytes.Contains(body, []byte(own)) {
					t.Errorf("the issuer's own key is not in %.300q", body)
				}
				if sc.Outcome == Varies && !varies(t, i, client, body) {
					t.Error("twenty answers were all the same")
				}
				transport.CloseIdleConnections()
				synctest.Wait()
				for _, s := range i.Served() {
					if s.Ended.IsZero() {
						t.Errorf("the client has left and answer %d goes on", s.Number)
					}
				}
			})
		})
	}
}

// varies asks on, with a change of the issuer's set and with the validator of
// the first answer in between, and reports whether anything but an honest
// document came, or the way it came depends on the question.
func varies(t *testing.T, i *Issuer, client *http.Client, first []byte) bool {
	t.Helper()
	for range 20 {
		if outcome, body := look(t, client, "http://127.0.0.1:80/jwks"); outcome != Whole || !bytes.Equal(body, first) {
			return true
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:80/jwks", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("If-None-Match", `"v1"`)
	r.Header.Set("Accept-Encoding", "identity")
	i.Mutate("own")
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusNotModified || answer.Header.Get("Content-Encoding") == "gzip"
}

func TestTheBookIsInOrder(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	outcomes := map[Outcome]int{}
	seen := map[string]bool{}
	for _, sc := range Scenarios() {
		if !name.MatchString(sc.Name) || seen[sc.Name] {
			t.Errorf("the name %q is taken or ill-formed", sc.Name)
		}
		seen[sc.Name] = true
		if sc.Title == "" || !strings.HasSuffix(sc.Does, ".") || sc.New == nil {
			t.Errorf("%s: title %q, does %q", sc.Name, sc.Title, sc.Does)
		}
		outcomes[sc.Outcome]++
	}
	for _, o := range []Outcome{Whole, Ambiguous, Excess, Invalid, Refused, Broken, Varies} {
		if outcomes[o] == 0 {
			t.Errorf("no scenario is %s", o)
		}
		delete(outcomes, o)
	}
	if len(outcomes) > 0 {
		t.Errorf("unknown outcomes: %v", outcomes)
	}
	a, b := Scenarios(), Scenarios()
	a[0].Name = "changed"
	if b[0].Name == "changed" || Scenarios()[0].Name == "changed" {
		t.Error("Scenarios gives its own slice away")
	}
}
