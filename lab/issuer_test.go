package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// ask gives one request to a handler, without a network.
func ask(h http.Handler, path string, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	maps.Copy(r.Header, header)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// entries are the keys of a document, by kid.
func entries(t *testing.T, document []byte) map[string]map[string]any {
	t.Helper()
	var set struct {
		Keys []map[string]any `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		t.Fatalf("the document does not parse: %v\n%s", err, document)
	}
	byKid := make(map[string]map[string]any)
	for _, e := range set.Keys {
		kid, _ := e["kid"].(string)
		if byKid[kid] != nil {
			t.Fatalf("kid %q stands twice in %s", kid, document)
		}
		byKid[kid] = e
	}
	return byKid
}

func TestIssuerChanges(t *testing.T) {
	t.Parallel()
	i := &Issuer{}
	if got := string(i.Current()); got != `{"keys":[]}` {
		t.Fatalf("the zero Issuer serves %s", got)
	}
	a, b := NewEC("a", "P-256"), NewEC("b", "P-256")
	i.Publish(a)
	i.Add(b)
	if got, want := i.Current(), Document(a, b); !bytes.Equal(got, want) {
		t.Fatalf("published %s, want %s", got, want)
	}

	if !i.Mutate("a") {
		t.Error("Mutate did not find a")
	}
	now := entries(t, i.Current())
	if now["a"] == nil || now["a"]["x"] == a.Public()["x"] || now["a"]["crv"] != "P-256" {
		t.Errorf("after Mutate a is %v, before it was %v", now["a"], a.Public())
	}
	if now["b"]["x"] != b.Public()["x"] || len(now) != 2 {
		t.Errorf("Mutate touched b: %v", now)
	}

	if !i.Relabel("b", "c") || !i.Alter("c", "use", "enc") || !i.Drop("c", "alg") {
		t.Error("Relabel, Alter or Drop did not find its key")
	}
	now = entries(t, i.Current())
	if now["b"] != nil || now["c"]["x"] != b.Public()["x"] || now["c"]["use"] != "enc" || now["c"]["alg"] != nil {
		t.Errorf("after Relabel, Alter and Drop: %v", now)
	}

	if !i.Rotate(a, "c") || i.Rotate(b, "nobody") {
		t.Error("Rotate is wrong about what it found")
	}
	if keys := i.Keys(); len(keys) != 3 || keys[1].Kid != "a" || keys[2].Kid != "b" {
		t.Errorf("after Rotate: %s", i.Current())
	}
	if !i.Remove("a") || len(i.Keys()) != 1 {
		t.Errorf("Remove must take both entries of a: %s", i.Current())
	}
	for name, found := range map[string]bool{
		"Remove": i.Remove("nobody"), "Mutate": i.Mutate("nobody"), "Relabel": i.Relabel("nobody", "x"),
		"Alter": i.Alter("nobody", "x", 1), "Drop": i.Drop("nobody", "x"), "Leak": i.Leak("nobody"),
	} {
		if found {
			t.Errorf("%s found a kid that is not there", name)
		}
	}
	i.Empty()
	if got := string(i.Current()); got != `{"keys":[]}` {
		t.Errorf("after Empty: %s", got)
	}
}

func TestLeakLastsUntilNewMaterial(t *testing.T) {
	t.Parallel()
	for name, k := range map[string]Key{"EC": NewEC("a", "P-256"), "OKP": NewEd25519("a")} {
		i := &Issuer{}
		i.Publish(k)
		i.Leak("a")
		i.Relabel("a", "b")
		if got := entries(t, i.Current())["b"]["d"]; got != k.Private()["d"] || got == nil {
			t.Errorf("%s: leaked d is %v", name, got)
		}
		i.Mutate("b")
		if got := entries(t, i.Current())["b"]; got["d"] != nil || got["x"] == nil {
			t.Errorf("%s: after Mutate: %v", name, got)
		}
	}
}

func TestHonestAnswers(t *testing.T) {
	t.Parallel()
	i := &Issuer{}
	i.Publish(NewEC("a", "P-256"))
	first := ask(i, "/any/path", nil)
	if first.Code != 200 || !bytes.Equal(first.Body.Bytes(), i.Current()) {
		t.Fatalf("status %d, body %s", first.Code, first.Body)
	}
	tag := first.Header().Get("ETag")
	again := ask(i, "/", http.Header{"If-None-Match": {tag}})
	if again.Code != 304 || again.Body.Len() != 0 || again.Header().Get("ETag") != tag {
		t.Errorf("the same document again: status %d, body %q, header %v", again.Code, again.Body, again.Header())
	}
	i.Mutate("a")
	if changed := ask(i, "/", http.Header{"If-None-Match": {tag}}); changed.Code != 200 || changed.Header().Get("ETag") == tag {
		t.Errorf("a changed document: status %d, header %v", changed.Code, changed.Header())
	}
	i.Answer(Status(http.StatusTeapot, nil, "no"))
	if got := ask(i, "/", nil); got.Code != http.StatusTeapot {
		t.Errorf("after Answer: status %d", got.Code)
	}
	i.Answer(nil)
	if got := ask(i, "/", nil); got.Code != http.StatusOK {
		t.Errorf("after Answer(nil): status %d", got.Code)
	}
}

func TestServedTellsWhatWasAnswered(t *testing.T) {
	t.Parallel()
	i := &Issuer{}
	i.Publish(NewEC("a", "P-256"))
	url, stop, err := i.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	get := func(client *http.Client, path string) (body []byte, err error) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("If-None-Match", `"x"`)
		answer, err := client.Do(r)
		if err != nil {
			return nil, err
		}
		defer answer.Body.Close()
		return io.ReadAll(answer.Body)
	}
	before := time.Now()
	client := &http.Client{Transport: &http.Transport{}}
	body, err := get(client, "/a?b=c")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := get(client, "/again"); err != nil {
		t.Fatal(err)
	}
	client.CloseIdleConnections()
	i.Answer(Raw("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if got, err := get(fresh, "/raw"); err != nil || string(got) != "hi" {
		t.Fatalf("raw answer %q, %v", got, err)
	}
	stop() // every answer has ended then

	list := i.Served()
	if len(list) != 3 || i.Count() != 3 {
		t.Fatalf("%d records of %d requests, want 3 of 3", len(list), i.Count())
	}
	first := list[0]
	if first.Number != 1 || first.Method != "GET" || first.Target != "/a?b=c" || first.Header.Get("If-None-Match") != `"x"` ||
		first.Status != 200 || first.Raw || first.Bytes != int64(len(body)) || first.SHA256 != sha256.Sum256(body) {
		t.Errorf("first record: %+v", first)
	}
	if first.At.Before(before) || first.Ended.Before(first.At) || time.Since(first.Ended) < 0 {
		t.Errorf("first record from %v to %v, asked at %v", first.At, first.Ended, before)
	}
	if list[1].Remote != first.Remote || list[2].Remote == first.Remote {
		t.Errorf("remotes %q: the first two share a connection, the third does not",
			[]string{first.Remote, list[1].Remote, list[2].Remote})
	}
	wire := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	if last := list[2]; !last.Raw || last.Status != 0 || last.Bytes != int64(len(wire)) || last.SHA256 != sha256.Sum256([]byte(wire)) {
		t.Errorf("raw record: %+v", last)
	}
	list[0].Header.Set("If-None-Match", "changed")
	if i.Served()[0].Header.Get("If-None-Match") != `"x"` {
		t.Error("Served gave its own header away")
	}
}

func TestServedIsBounded(t *testing.T) {
	t.Parallel()
	i := &Issuer{Keep: 3}
	for range 10 {
		ask(i, "/", nil)
	}
	list := i.Served()
	if len(list) != 3 || list[0].Number != 8 || list[2].Number != 10 || list[2].Status != 200 || i.Count() != 10 {
		t.Errorf("%d records, %+v", len(list), list)
	}
}

func TestAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := &Issuer{}
		done := make(chan error, 2)
		for range cap(done) {
			go func() { done <- i.Await(t.Context(), 3) }()
		}
		for range 2 {
			ask(i, "/", nil)
			synctest.Wait()
		}
		if len(done) > 0 {
			t.Fatal("Await(3) returned after 2 requests")
		}
		ask(i, "/", nil)
		for range cap(done) {
			if err := <-done; err != nil {
				t.Errorf("Await: %v", err)
			}
		}
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if err := i.Await(ctx, 4); !errors.Is(err, cause) {
			t.Errorf("Await under an ended context: %v", err)
		}
	})
}

// Every request must see one published state, whatever changes meanwhile; the
// race detector watches the rest.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	i := &Issuer{Keep: 16}
	a, b := Ed25519FromSeed("a", "a"), Ed25519FromSeed("b", "b")
	i.Publish(a)
	var asking, changing sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		asking.Go(func() {
			for n := range 200 {
				w := ask(i, "/", nil)
				// Rotate is one step: never none, never both.
				if got := strings.Count(w.Body.String(), `"kty"`); w.Code == 200 && got != 1 {
					t.Errorf("request %d got %d keys: %s", n, got, w.Body)
				}
				i.Served()
			}
		})
	}
	changing.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			i.Rotate(b, "a")
			i.Alter("b", "extra", 1)
			i.Leak("b")
			i.Mutate("b")
			i.Rotate(a, "b")
			i.Answer(Alternate(nil, Status(500, nil, "no")))
			i.Current()
			i.Keys()
		}
	})
	asking.Wait()
	close(stop)
	changing.Wait()
	if i.Count() != 800 {
		t.Errorf("%d requests counted, want 800", i.Count())
	}
}
