package sinks

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/sinks/format"
	"github.com/jwkswatch/jwkswatch/state"
)

// Webhook posts each event to a URL, signed as Standard Webhooks has it: the id of
// the message is that of the event, so that a repeated one is known as such.
type Webhook struct {
	Sink   string // name of the cursor
	URL    string
	Format format.Format
	// SecretFile holds one secret a line, whsec_ and base64 of 24 to 64 octets. With
	// several each signs, so that a receiver can change from one to the next.
	SecretFile string
	UserAgent  string
	Client     *http.Client // does not follow redirects; nil makes one
	Timeout    time.Duration

	client    *http.Client
	notBefore time.Time // the receiver asked for a pause

	took    bool      // its last answer took an event
	vouched time.Time // when it took another event than the one that it refused
	whose   string    // endpoint of the one that it refused then
	refused string    // id of the event that it refused last
	times   int       // in a row
}

// Bounds of a webhook.
const (
	maxSecrets    = 8
	maxRetryAfter = 5 * time.Minute // a receiver that asks for a day is asked again before
	maxReply      = 4 << 10         // octets of an answer that are read, so that the connection lives on
	minSecret     = 24              // octets
	maxSecret     = 64

	// How often a receiver that takes others must refuse an event by an answer that may
	// mean anything, and for how long its taking another counts.
	maxRefusals = 5
	vouchedFor  = time.Minute
)

// Name implements Sink.
func (w *Webhook) Name() string { return w.Sink }

// Close gives idle connections back.
func (w *Webhook) Close() error {
	if w.client != nil {
		w.client.CloseIdleConnections()
	}
	return nil
}

// Send implements Sink: one request an event, in order.
func (w *Webhook) Send(ctx context.Context, batch []state.Entry) (int, error) {
	secrets, err := ReadWebhookSecrets(w.SecretFile)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrMisconfigured, err)
	}
	for i := range batch {
		if err := w.wait(ctx); err != nil {
			return i, err
		}
		err := w.post(ctx, secrets, &batch[i])
		if r, ok := errors.AsType[*refusal](err); ok {
			err = w.about(ctx, secrets, batch[i:], r)
		}
		w.took = err == nil
		if err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

// refusal is an answer that may be about the event, or about all.
type refusal struct{ code int }

func (r *refusal) Error() string {
	return fmt.Sprintf("the receiver refuses the event (HTTP %d)", r.code)
}

// about tells whether a refusal is about the first event of the rest: a text of an issuer
// that a filter before the receiver takes for an attack must not hold all events behind it,
// and a receiver that refuses everything, for its secret or its clock is wrong, must not
// have everything parked. Who knows is the receiver: it is asked with an event of another
// endpoint, as a heartbeat is, which is posted again in its turn.
func (w *Webhook) about(ctx context.Context, secrets [][]byte, rest []state.Entry, r *refusal) error {
	e := &rest[0]
	if w.refused != e.ID {
		w.refused, w.times = e.ID, 0
	}
	w.times++
	plain := r.code == http.StatusBadRequest || r.code == http.StatusUnprocessableEntity
	if r.code == http.StatusRequestEntityTooLarge || plain && w.took {
		return fmt.Errorf("%w: %w", ErrRejected, r)
	}
	// What it took then says nothing of an event of another endpoint: a receiver that has
	// come to refuse everything meanwhile would have everything parked.
	if w.whose != e.Endpoint || time.Since(w.vouched) >= vouchedFor {
		other := slices.IndexFunc(rest, func(o state.Entry) bool { return o.Endpoint != e.Endpoint })
		if other < 0 || w.post(ctx, secrets, &rest[other]) != nil {
			return fmt.Errorf("%w: the receiver answers HTTP %d", ErrMisconfigured, r.code)
		}
		w.vouched, w.whose = time.Now(), e.Endpoint
	}
	if plain || w.times >= maxRefusals {
		return fmt.Errorf("%w: %w, and takes others", ErrRejected, r)
	}
	return fmt.Errorf("%w, and takes others", r)
}

// wait keeps the pause that the receiver asked for.
func (w *Webhook) wait(ctx context.Context) error {
	pause := time.Until(w.notBefore)
	if pause <= 0 {
		return nil
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *Webhook) post(ctx context.Context, secrets [][]byte, e *state.Entry) error {
	body, err := encoded(w.Format, e)
	if err != nil {
		return err
	}
	timeout := w.Timeout
	if timeout <= 0 {
		timeout = 15 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: the URL cannot be asked", ErrMisconfigured)
	}
	now := strconv.FormatInt(time.Now().Unix(), 10)
	r.Header.Set("Content-Type", w.Format.ContentType())
	r.Header.Set("User-Agent", w.UserAgent)
	r.Header.Set("Webhook-Id", e.ID)
	r.Header.Set("Webhook-Timestamp", now)
	r.Header.Set("Webhook-Signature", signatures(secrets, e.ID, now, body))
	if w.client == nil {
		w.client = w.Client
		if w.client == nil {
			w.client = &http.Client{}
		}
		w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	response, err := w.client.Do(r)
	if err != nil {
		return fmt.Errorf("posting an event: %w", unaddressed(err))
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxReply)) // what it says is its own matter, and never logged
	return w.judge(response)
}

// judge says what an answer means for the event.
func (w *Webhook) judge(r *http.Response) error {
	switch code := r.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		return fmt.Errorf("%w: the receiver redirects (HTTP %d), and redirects are not followed", ErrMisconfigured, code)
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly, code >= 500:
		w.pause(r.Header.Get("Retry-After"))
		return fmt.Errorf("the receiver cannot take the event now (HTTP %d)", code)
	case code == http.StatusGone:
		return fmt.Errorf("%w: the receiver is gone for good (HTTP 410): take the sink out, or correct its URL", ErrMisconfigured)
	case code >= 400:
		return &refusal{code}
	default:
		return fmt.Errorf("%w: the receiver answers HTTP %d", ErrMisconfigured, code)
	}
}

// pause reads Retry-After: seconds, or a date.
func (w *Webhook) pause(s string) {
	var d time.Duration
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		d = min(time.Duration(min(n, 86_400))*time.Second, maxRetryAfter)
	} else if at, err := http.ParseTime(s); err == nil {
		d = min(time.Until(at), maxRetryAfter)
	}
	if d > 0 {
		w.notBefore = time.Now().Add(d)
	}
}

// signatures are those of Standard Webhooks: HMAC-SHA256 over id, time and body.
func signatures(secrets [][]byte, id, timestamp string, body []byte) string {
	var out []string
	for _, s := range secrets {
		mac := hmac.New(sha256.New, s)
		mac.Write([]byte(id + "." + timestamp + "."))
		mac.Write(body)
		out = append(out, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(out, " ")
}

// ReadWebhookSecrets reads a file of secrets. It is read for each batch, so that a
// secret can be rotated while the agent runs. No error shows what the file holds.
func ReadWebhookSecrets(path string) ([][]byte, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the secrets of a webhook: %w", err)
	}
	var out [][]byte
	for n, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		text, ok := strings.CutPrefix(line, "whsec_")
		secret, err := base64.StdEncoding.DecodeString(text)
		if !ok || err != nil || len(secret) < minSecret || len(secret) > maxSecret {
			return nil, fmt.Errorf("%s: line %d is no secret: want whsec_ and base64 of %d to %d octets; make one with: echo whsec_$(openssl rand -base64 32)", path, n+1, minSecret, maxSecret)
		}
		out = append(out, secret)
	}
	if len(out) == 0 || len(out) > maxSecrets {
		return nil, fmt.Errorf("%s: want 1 to %d secrets, one a line", path, maxSecrets)
	}
	return out, nil
}

// unaddressed takes the URL out of an error of net/http: it may hold a token.
func unaddressed(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return placeless(err)
}
