package agent

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/evidence"
)

// signedState is what the newest checkpoint was about.
type signedState struct {
	At     time.Time `json:"at"`
	Signer string    `json:"signer"` // thumbprint
	// Position is that of the journal before its heads were read: what is new since
	// then is for the next one.
	Position string `json:"position"`
}

// Notary signs checkpoints when something has changed, and at its end.
type Notary struct {
	Voice *Voice
	Key   ed25519.PrivateKey
	Heads func(context.Context) ([]evidence.Head, error) // of all streams
	Every time.Duration                                  // 0 means five minutes
}

// signedAtLeast is how often a checkpoint comes when nothing but heartbeats was said,
// so that its absence means something.
const signedAtLeast = time.Hour

// Run signs until the context ends, and then once more.
func (n *Notary) Run(ctx context.Context) {
	every := n.Every
	if every == 0 {
		every = 5 * time.Minute
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			n.tell(n.Sign(context.WithoutCancel(ctx), time.Now(), true))
			return
		case <-t.C:
			n.tell(n.Sign(ctx, time.Now(), false))
		}
	}
}

func (n *Notary) tell(err error) {
	if err != nil && !errors.Is(err, context.Canceled) {
		n.Voice.Log.Error().Err(err).Msg("a checkpoint is not signed; it is tried again")
	}
}

// Sign signs the heads of what has changed since the last checkpoint, of this run or
// one before; with many streams in several parts. When nothing changed but the agent's
// heartbeats it signs once an hour, or always.
//
// The order keeps every head in some checkpoint: first the position, then the heads,
// then what is new since the position of the last one. What comes in between is told
// by both, never by neither.
func (n *Notary) Sign(ctx context.Context, at time.Time, always bool) error {
	last, err := n.Voice.signed(ctx, at)
	if err != nil {
		return err
	}
	next := &signedState{At: at, Signer: evidence.Thumbprint(n.Key.Public().(ed25519.PublicKey))}
	if next.Position, err = n.Voice.Store.Head(ctx); err != nil {
		return fmt.Errorf("signing a checkpoint: %w", err)
	}
	heads, err := n.Heads(ctx)
	if err != nil {
		return fmt.Errorf("signing a checkpoint: %w", err)
	}
	var changed func(string) bool // of the first checkpoint: all
	if last != nil {
		streams, news, err := n.news(ctx, last.Position)
		if err != nil {
			return fmt.Errorf("signing a checkpoint: %w", err)
		}
		if !always && !news && at.Sub(last.At).Abs() < signedAtLeast {
			return nil
		}
		changed = func(stream string) bool { return streams[stream] }
	}
	return n.Voice.checkpoint(ctx, at, n.Key, evidence.Checkpoints(n.Voice.Observer().Name, event.At(at), heads, changed), next)
}

// news returns the streams that were told of after a position, and whether that was
// more than the agent's own pulse.
func (n *Notary) news(ctx context.Context, after string) (streams map[string]bool, more bool, err error) {
	streams = map[string]bool{event.AgentStream: true}
	for e, err := range n.Voice.Store.Events(ctx, after) {
		if err != nil {
			return nil, false, err
		}
		if e.Endpoint != "" {
			streams[e.Endpoint] = true
		}
		more = more || e.Type != string(event.AgentHeartbeat) && e.Type != string(event.AgentCheckpoint)
	}
	return streams, more, nil
}

// signed returns what was signed last, nil when nothing was.
func (v *Voice) signed(ctx context.Context, at time.Time) (last *signedState, err error) {
	err = v.say(ctx, at, func(m *memory) ([]word, bool) {
		last = m.Signed
		return nil, false
	})
	return last, err
}

// checkpoint says the parts of a checkpoint, each in a step of its own: together they
// may be larger than one step should be. It is done when the last part is said; after
// an error all parts come again.
func (v *Voice) checkpoint(ctx context.Context, at time.Time, key ed25519.PrivateKey, parts []evidence.Checkpoint, done *signedState) error {
	for _, c := range parts {
		jws, err := evidence.Sign(key, c)
		if err != nil {
			return err
		}
		w := word{
			typ: event.AgentCheckpoint, severity: event.SeverityInformational, verdict: event.Informational, always: true,
			message: fmt.Sprintf("the heads of %s are signed; jwkswatch verify holds exported events against it", plural(c.Changed, "stream")),
			details: event.AgentCheckpointDetails{
				JWS: jws, Key: done.Signer, Digest: c.Digest, Total: c.Total, Changed: c.Changed, Full: c.Full, Part: c.Part, Parts: c.Parts,
			},
		}
		err = v.say(ctx, at, func(m *memory) ([]word, bool) {
			w := w
			if m.Signed != nil && m.Signed.Signer != done.Signer && c.Part == 1 {
				w.rule, w.severity, w.verdict, w.reasons = ruleKey, event.SeverityHigh, event.Unexpected, []string{"key_changed"}
				w.message = "another key signs the checkpoints from now on; if nobody exchanged it on purpose, somebody else did"
			}
			if c.Part == c.Parts {
				m.Signed = done
			}
			return []word{w}, true
		})
		if err != nil {
			return err
		}
	}
	return nil
}
