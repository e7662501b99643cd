package sinks

import (
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/jwkswatch/jwkswatch/sinks/format"
	"github.com/jwkswatch/jwkswatch/state"
)

const (
	firstSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	secondSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
)

// hook is a receiver that verifies signatures with the published library.
type hook struct {
	t      *testing.T
	secret string

	mu     sync.Mutex
	ids    []string
	bodies []string
	answer func(n int, w http.ResponseWriter) // of the n-th request, from 1; nil is 204
	n      int
	times  []time.Time
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		h.t.Error(err)
	}
	v, err := standardwebhooks.NewWebhook(h.secret)
	if err != nil {
		h.t.Error(err)
		return
	}
	if err := v.Verify(body, r.Header); err != nil {
		h.t.Errorf("the signature does not verify: %v", err)
	}
	if r.Method != http.MethodPost || r.Header.Get("User-Agent") != "jwkswatch/test" {
		h.t.Errorf("%s %v", r.Method, r.Header)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n++
	h.times = append(h.times, time.Now())
	status := &recorded{ResponseWriter: w, code: http.StatusNoContent}
	if h.answer != nil {
		h.answer(h.n, status)
	} else {
		status.WriteHeader(http.StatusNoContent)
	}
	if status.code < 300 && !slices.Contains(h.ids, r.Header.Get("Webhook-Id")) {
		h.ids = append(h.ids, r.Header.Get("Webhook-Id"))
		h.bodies = append(h.bodies, string(body))
	}
}

type recorded struct {
	http.ResponseWriter
	code int
}

func (r *recorded) WriteHeader(code int) {
	r.code = code
	r.ResponseWriter.WriteHeader(code)
}

func (h *hook) got() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ids)
}

func newHook(t *testing.T, secrets string, answer func(int, http.ResponseWriter)) (*hook, *Webhook) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook.key")
	if err := os.WriteFile(path, []byte(secrets), 0o600); err != nil {
		t.Fatal(err)
	}
	h := &hook{t: t, secret: firstSecret, answer: answer}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	w := &Webhook{Sink: "soar", URL: srv.URL + "/hook?token=canary", SecretFile: path, UserAgent: "jwkswatch/test", Timeout: 5 * time.Second}
	t.Cleanup(func() { _ = w.Close() })
	return h, w
}

// TestWebhook posts each event once, in order, signed, as it is stored.
func TestWebhook(t *testing.T) {
	t.Parallel()
	h, w := newHook(t, firstSecret+"\n", nil)
	list := samples(5, 2)
	sendAll(t, w, list)
	if !slices.Equal(h.got(), idsOf(list)) || h.bodies[4] != string(list[4].JSON) {
		t.Errorf("%q", h.got())
	}
}

// TestWebhookRotatesSecrets signs with every secret of the file, which is read anew.
func TestWebhookRotatesSecrets(t *testing.T) {
	t.Parallel()
	h, w := newHook(t, firstSecret+"\n# the next one\n"+secondSecret+"\n", nil)
	list := samples(3, 1)
	sendAll(t, w, list[:1])
	h.mu.Lock()
	h.secret = secondSecret
	h.mu.Unlock()
	sendAll(t, w, list[1:2])
	if err := os.WriteFile(w.SecretFile, []byte(secondSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	sendAll(t, w, list[2:])
	if !slices.Equal(h.got(), idsOf(list)) {
		t.Errorf("%q", h.got())
	}
}

// TestWebhookAnswers holds what each answer means for the event.
func TestWebhookAnswers(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]error{
		200: nil, 201: nil, 204: nil, 301: ErrMisconfigured, 302: ErrMisconfigured, 400: ErrMisconfigured, 401: ErrMisconfigured, 403: ErrMisconfigured,
		404: ErrMisconfigured, 410: ErrMisconfigured, 413: ErrRejected, 422: ErrMisconfigured, 429: errTemporary, 500: errTemporary, 503: errTemporary,
	} {
		_, w := newHook(t, firstSecret, func(_ int, w http.ResponseWriter) {
			w.Header().Set("Location", "http://127.0.0.1:1/")
			w.WriteHeader(code)
		})
		n, err := w.Send(t.Context(), samples(1, 1))
		rejected, misconfigured := errors.Is(err, ErrRejected), errors.Is(err, ErrMisconfigured)
		if (n == 1) != (want == nil) || rejected != (want == ErrRejected) || misconfigured != (want == ErrMisconfigured) || (err == nil) != (want == nil) {
			t.Errorf("HTTP %d: %d sent, %v", code, n, err)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("HTTP %d: the error shows the URL: %v", code, err)
		}
	}
}

// errTemporary stands for an error that is neither of the two.
var errTemporary = errors.New("temporary")

// TestWebhookDown loses nothing and keeps the order while the receiver fails, asks
// for a pause, or is not there; one refused event is parked, and the next goes on.
func TestWebhookDown(t *testing.T) {
	t.Parallel()
	list := samples(6, 2)
	h, w := newHook(t, firstSecret, func(n int, w http.ResponseWriter) {
		switch {
		case n == 2 || n == 3:
			w.WriteHeader(http.StatusInternalServerError)
		case n == 5:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		case n == 7:
			w.WriteHeader(http.StatusUnprocessableEntity)
		default:
			w.WriteHeader(http.StatusOK)
		}
	})
	d, stop := deliver(t, newJournal(list...), w, (&ops{}).logger())
	eventually(t, "all is sent or parked", func() bool { return d.Stats().CaughtUp })
	stop()
	want := slices.Delete(idsOf(list), 3, 4)
	if got := h.got(); !slices.Equal(got, want) || d.Stats().Parked != 1 {
		t.Errorf("%q, want %q, %d parked", got, want, d.Stats().Parked)
	}
	if pause := h.times[5].Sub(h.times[4]); pause < time.Second {
		t.Errorf("asked again after %s", pause)
	}
}

// TestWebhookUnsteady gives up on a receiver that is slow or breaks off, without a
// word of the URL, and tries again: the receiver tells repetitions by the id.
func TestWebhookUnsteady(t *testing.T) {
	t.Parallel()
	list := samples(4, 2)
	over := make(chan struct{})
	h, w := newHook(t, firstSecret, nil)
	srv := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(out, r)
		h.mu.Lock()
		n := h.n
		h.mu.Unlock()
		switch n {
		case 2: // taken, and nothing said in time
			<-over
		case 4: // taken, and broken off within the answer
			panic(http.ErrAbortHandler)
		}
	}))
	defer srv.Close()
	defer close(over)
	h.answer = func(n int, w http.ResponseWriter) {
		if n != 2 && n != 4 {
			w.WriteHeader(http.StatusOK)
		}
	}
	w.URL, w.Timeout = srv.URL+"/hook?token=canary", 200*time.Millisecond
	log := &ops{}
	d, stop := deliver(t, newJournal(list...), w, log.logger())
	eventually(t, "all is sent", func() bool { return d.Stats().CaughtUp && d.Stats().Sent == 4 })
	stop()
	if got := h.got(); !slices.Equal(got, idsOf(list)) || d.Stats().Retries != 2 || h.n != 6 {
		t.Errorf("%q, %d requests, %+v", got, h.n, d.Stats())
	}
	if strings.Contains(log.String(), "canary") || log.count("delivery fails") != 2 {
		t.Errorf("logged: %s", log)
	}
}

// TestWebhookSecrets refuses what is no secret, without showing it.
func TestWebhookSecrets(t *testing.T) {
	t.Parallel()
	short := "whsec_" + base64.StdEncoding.EncodeToString([]byte("canary"))
	for name, text := range map[string]string{
		"empty": "", "no prefix": "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "short": short, "no base64": "whsec_canary!", "one of two": firstSecret + "\nwhsec_canary",
		"too many": strings.Repeat(firstSecret+"\n", 9),
	} {
		h, w := newHook(t, text, nil)
		n, err := w.Send(t.Context(), samples(1, 1))
		if n != 0 || !errors.Is(err, ErrMisconfigured) || len(h.got()) > 0 {
			t.Errorf("%s: %d sent, %v", name, n, err)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(err.Error(), "MfKQ") || strings.Contains(err.Error(), "Y2FuYXJ5")) {
			t.Errorf("%s: the error shows the secret: %v", name, err)
		}
	}
}

// TestWebhookFormats posts other formats with their media type.
func TestWebhookFormats(t *testing.T) {
	t.Parallel()
	h, w := newHook(t, firstSecret, nil)
	w.Format = format.OCSF
	bad := sample(2, "a")
	bad.JSON = []byte("{}")
	n, err := w.Send(t.Context(), []state.Entry{sample(1, "a"), bad})
	if n != 1 || !errors.Is(err, ErrRejected) || !strings.Contains(h.bodies[0], `"class_uid":2004`) && !strings.Contains(h.bodies[0], `"class_uid":3004`) {
		t.Errorf("%d sent, %v, %q", n, err, h.bodies)
	}
}
