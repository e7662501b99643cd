package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jwkswatch/jwkswatch/query"
)

const (
	maxAnswer     = 256 << 20 // octets: of many endpoints, or of a large document
	maxLine       = 2 << 20   // of one event: above what a state can hold
	answerTimeout = 2 * time.Minute
)

// Client asks the daemon at a socket. Its methods return what the daemon's own
// would: *query.Problem for what is wrong with the question. Errors besides:
// ErrNotRunning, fs.ErrPermission.
type Client struct {
	Path string // of the socket
}

var _ query.Answers = (*Client)(nil)

// Close does nothing: each question has a connection of its own.
func (c *Client) Close() error { return nil }

// Reach returns nil when somebody answers at the socket.
func (c *Client) Reach(ctx context.Context) error {
	conn, err := dial(ctx, c.Path)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Status asks how it stands with all.
func (c *Client) Status(ctx context.Context) (query.StatusReport, error) {
	return ask[query.StatusReport](ctx, c, http.MethodGet, "status", nil)
}

// Endpoints asks for all endpoints.
func (c *Client) Endpoints(ctx context.Context) ([]query.EndpointRow, error) {
	return ask[[]query.EndpointRow](ctx, c, http.MethodGet, "endpoints", nil)
}

// Event asks for one event.
func (c *Client) Event(ctx context.Context, id string) (json.RawMessage, error) {
	return ask[json.RawMessage](ctx, c, http.MethodGet, "event/"+segment(id), nil)
}

// History asks for the newest steps of an endpoint.
func (c *Client) History(ctx context.Context, endpoint string, limit int) ([]query.HistoryRow, error) {
	v := url.Values{}
	if limit != 0 {
		v.Set("limit", strconv.Itoa(limit))
	}
	return ask[[]query.HistoryRow](ctx, c, http.MethodGet, "history/"+segment(endpoint), v)
}

// Show asks for the set of an endpoint as it was at a time.
func (c *Client) Show(ctx context.Context, endpoint string, at time.Time) (query.Shown, error) {
	v := url.Values{}
	if s := instant(at); s != "" {
		v.Set("at", s)
	}
	return ask[query.Shown](ctx, c, http.MethodGet, "show/"+segment(endpoint), v)
}

// Keys lists keys that were ever published.
func (c *Client) Keys(ctx context.Context, f query.KeyFilter) ([]query.PublishedKey, error) {
	v := url.Values{}
	if f.Endpoint != "" {
		v.Set("endpoint", f.Endpoint)
	}
	if f.Kid != nil {
		v.Set("kid", *f.Kid)
	}
	return ask[[]query.PublishedKey](ctx, c, http.MethodGet, "keys", v)
}

// Healthy asks whether the daemon does its work; the error says why not.
func (c *Client) Healthy(ctx context.Context) error {
	h, err := ask[health](ctx, c, http.MethodGet, "health", nil)
	if err != nil || h.Healthy {
		return err
	}
	if h.Reason == nil {
		return errors.New("the daemon is not healthy")
	}
	return fmt.Errorf("the daemon is not healthy: %s", *h.Reason)
}

// Reload asks for the configuration to be loaded again. A refused one is no
// error: see ReloadResult.Outcome.
func (c *Client) Reload(ctx context.Context) (ReloadResult, error) {
	return ask[ReloadResult](ctx, c, http.MethodPost, "reload", nil)
}

// Backup asks for a copy of the state. What was written before an error is no
// state.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	body, err := c.send(ctx, http.MethodPost, "backup", nil)
	if err != nil {
		return fmt.Errorf("asking for a backup: %w", err)
	}
	defer body.Close()
	if _, err := io.Copy(w, body); err != nil {
		return fmt.Errorf("reading a backup: %w", err)
	}
	if err := body.end(); err != nil {
		return fmt.Errorf("reading a backup: %w", err)
	}
	return nil
}

// Events asks for events.
func (c *Client) Events(ctx context.Context, f query.Filter) iter.Seq2[json.RawMessage, error] {
	return c.lines(ctx, f, false)
}

// Follow asks for events and for those that come. It ends with ErrStopped when
// the daemon stops.
func (c *Client) Follow(ctx context.Context, f query.Filter) iter.Seq2[json.RawMessage, error] {
	return c.lines(ctx, f, true)
}

func (c *Client) lines(ctx context.Context, f query.Filter, follow bool) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		body, err := c.send(ctx, http.MethodGet, "events", parameters(f, follow))
		if err != nil {
			yield(nil, fmt.Errorf("asking for events: %w", err))
			return
		}
		defer body.Close()
		s := bufio.NewScanner(body)
		s.Buffer(nil, maxLine)
		for s.Scan() {
			if !yield(bytes.Clone(s.Bytes()), nil) {
				return
			}
		}
		err = s.Err()
		if err == nil {
			err = body.end()
		}
		if err == nil && follow {
			err = ErrStopped
		}
		if err != nil {
			yield(nil, fmt.Errorf("reading events: %w", err))
		}
	}
}

// ask sends a question and reads the answer.
func ask[T any](ctx context.Context, c *Client, method, what string, v url.Values) (out T, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	body, err := c.send(ctx, method, what, v)
	if err != nil {
		return out, fmt.Errorf("asking the daemon: %w", err)
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err == nil && len(b) > maxAnswer {
		err = errors.New("the answer is too large")
	}
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return out, fmt.Errorf("reading the daemon's answer: %w", err)
	}
	return out, nil
}

// segment makes a name one segment of a path. Dots alone would be resolved.
func segment(name string) string {
	if strings.Trim(name, ".") == "" {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}

// answerBody is the body of an answer, with what comes after it.
type answerBody struct {
	io.ReadCloser
	response *http.Response
}

// end returns the error that came after the body.
func (b *answerBody) end() error {
	text := b.response.Trailer.Get(trailer)
	if text == "" {
		return nil
	}
	var f failure
	if err := json.Unmarshal([]byte(text), &f); err != nil {
		return errors.New("the daemon broke off")
	}
	return f.err()
}

// send sends a question and returns the body of the answer to it.
func (c *Client) send(ctx context.Context, method, what string, v url.Values) (*answerBody, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://jwkswatch/v1/"+what+"?"+v.Encode(), nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, c.Path) },
		DisableKeepAlives:  true,
		DisableCompression: true,
	}
	response, err := transport.RoundTrip(r)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return nil, fmt.Errorf("the daemon broke the connection off: it stops, too many ask at once, or you are neither its user nor root: %w", err)
	}
	if err != nil {
		return nil, err
	}
	if response.StatusCode == http.StatusOK {
		return &answerBody{response.Body, response}, nil
	}
	defer response.Body.Close()
	var a answer
	b, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil || json.Unmarshal(b, &a) != nil || a.Error.Code == "" {
		return nil, fmt.Errorf("the daemon does not know the question (HTTP status %d): is it of another version?", response.StatusCode)
	}
	return nil, a.Error.err()
}
