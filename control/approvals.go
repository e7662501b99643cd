package control

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// Grant asks for a change to be expected, or accepts one that came.
type Grant struct {
	Endpoint    string
	Thumbprints []string // RFC 7638, base64url; at most 32; none for what has no key
	Event       string   // id of the event that is acknowledged; "" announces
	// Kid, Alg and Use pin the key further; "" pins nothing.
	Kid, Alg, Use string
	From, Until   time.Time // zero: now, and 14 days from then
	Reason, By    string
}

// ApprovalRow is an approval as it is listed.
type ApprovalRow struct {
	event.ApprovalDetails
	State string `json:"state"` // pending, active, over, revoked
	Used  bool   `json:"used"`  // what was announced came
}

// The states of an approval.
const (
	ApprovalPending = "pending" // its time has not begun
	ApprovalActive  = "active"
	ApprovalOver    = "over"
	ApprovalRevoked = "revoked"
)

func (d *desk) approvals(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r) || unsupported(w, d.Approvals == nil) {
		return
	}
	v, err := d.Approvals(r.Context())
	if v == nil {
		v = []ApprovalRow{}
	}
	reply(w, v, err)
}

func (d *desk) approve(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r, "endpoint", "thumbprints", "event", "kid", "alg", "use", "from", "until", "reason", "by") || unsupported(w, d.Approve == nil) {
		return
	}
	v := r.URL.Query()
	g := Grant{
		Endpoint: v.Get("endpoint"), Event: v.Get("event"), Kid: v.Get("kid"), Alg: v.Get("alg"), Use: v.Get("use"),
		Reason: v.Get("reason"), By: v.Get("by"),
	}
	if s := v.Get("thumbprints"); s != "" {
		g.Thumbprints = strings.Split(s, ",")
	}
	var err error
	if g.From, err = moment(v.Get("from")); err == nil {
		g.Until, err = moment(v.Get("until"))
	}
	if err != nil {
		refuseErr(w, err)
		return
	}
	row, err := d.Approve(r.Context(), g)
	reply(w, row, err)
}

func (d *desk) revoke(w http.ResponseWriter, r *http.Request) {
	if !takes(w, r, "id", "by", "reason") || unsupported(w, d.Revoke == nil) {
		return
	}
	v := r.URL.Query()
	row, err := d.Revoke(r.Context(), v.Get("id"), v.Get("by"), v.Get("reason"))
	reply(w, row, err)
}

// Approve asks the daemon to expect a change, or to note that one is accepted.
// Errors: *query.Problem for what is wrong with the grant.
func (c *Client) Approve(ctx context.Context, g Grant) (ApprovalRow, error) {
	v := url.Values{}
	for name, text := range map[string]string{
		"endpoint": g.Endpoint, "thumbprints": strings.Join(g.Thumbprints, ","), "event": g.Event, "kid": g.Kid, "alg": g.Alg, "use": g.Use,
		"from": instant(g.From), "until": instant(g.Until), "reason": g.Reason, "by": g.By,
	} {
		if text != "" {
			v.Set(name, text)
		}
	}
	return ask[ApprovalRow](ctx, c, http.MethodPost, "approve", v)
}

// Revoke takes an approval back.
func (c *Client) Revoke(ctx context.Context, id, by, reason string) (ApprovalRow, error) {
	return ask[ApprovalRow](ctx, c, http.MethodPost, "revoke", url.Values{"id": {id}, "by": {by}, "reason": {reason}})
}

// Approvals lists what was announced or accepted: by files and by command.
func (c *Client) Approvals(ctx context.Context) ([]ApprovalRow, error) {
	return ask[[]ApprovalRow](ctx, c, http.MethodGet, "approvals", nil)
}
