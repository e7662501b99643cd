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

// Checkpoint signs the heads of all streams and says so; with many streams in several
// parts.
func (v *Voice) Checkpoint(ctx context.Context, at time.Time, key ed25519.PrivateKey, heads []evidence.Head) error {
	if len(heads) == 0 {
		return nil
	}
	signer := evidence.Thumbprint(key.Public().(ed25519.PublicKey))
	var words []word
	for _, c := range evidence.Checkpoints(v.Observer().Name, event.At(at), heads) {
		jws, err := evidence.Sign(key, c)
		if err != nil {
			return err
		}
		words = append(words, word{
			typ: event.AgentCheckpoint, severity: event.SeverityInformational, verdict: event.Informational, always: true,
			message: fmt.Sprintf("the heads of %s are signed; jwkswatch verify holds exported events against it", plural(c.Total, "stream")),
			details: event.AgentCheckpointDetails{JWS: jws, Key: signer, Digest: c.Digest, Total: c.Total, Part: c.Part, Parts: c.Parts},
		})
	}
	return v.say(ctx, at, func(*memory) ([]word, bool) { return words, true })
}

// Notary signs checkpoints when something has changed, and at its end.
type Notary struct {
	Voice *Voice
	Key   ed25519.PrivateKey
	Heads func(context.Context) ([]evidence.Head, error)
	Every time.Duration // 0 means five minutes

	last string // digest of what was signed last, the agent's own stream aside
}

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
			n.sign(context.WithoutCancel(ctx), true)
			return
		case <-t.C:
			n.sign(ctx, false)
		}
	}
}

// sign signs the heads, unless nothing but the agent's own words has changed.
func (n *Notary) sign(ctx context.Context, always bool) {
	heads, err := n.Heads(ctx)
	if err == nil {
		var others []evidence.Head
		for _, h := range heads {
			if h.Stream != event.AgentStream {
				others = append(others, h)
			}
		}
		digest := evidence.Digest(others)
		if digest == n.last && !always {
			return
		}
		if err = n.Voice.Checkpoint(ctx, time.Now(), n.Key, heads); err == nil {
			n.last = digest
		}
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		n.Voice.Log.Error().Err(err).Msg("a checkpoint is not signed; it is tried again")
	}
}
