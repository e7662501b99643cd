package bolt

import (
	"context"
	"errors"
	"fmt"

	"github.com/jwkswatch/jwkswatch/state"
)

// ErrTaken is why nothing is written any more when the file has not its name any
// more: it was deleted, or another one stands in its place. What is stored then
// is lost with the process, but until then it can be read, and backed up.
var ErrTaken = errors.New("the file was taken away while it was open")

// errExchanged is why nothing is written any more when the open file has not the
// content that was written to it. What to believe of it only a start can say,
// which holds it against the anchor.
var errExchanged = errors.New("the content of the file was exchanged while it was open")

// stays gives up when the open file is not the one at path any more. A path that
// cannot be looked at says nothing.
func (db *DB) stays(path string) error {
	db.turn <- struct{}{} // a compaction gives the name to another file
	defer func() { <-db.turn }()
	if db.isClosed() {
		return nil
	}
	if named, err := stillNamed(db.on.Load().file, path); named || err != nil {
		return nil
	}
	return db.refuse(ErrTaken)
}

// goesOn gives up when the state is not the one that the anchor knows, or is an
// older copy of it: an anchor that followed it would hide that for ever.
func (db *DB) goesOn(ctx context.Context, last, is Anchor) error {
	reason, err := last.holds(ctx, db, is)
	if err != nil || reason == "" {
		return err
	}
	db.turn <- struct{}{}
	defer func() { <-db.turn }()
	return db.refuse(errExchanged)
}

// continues gives up when a transaction did not find the counts that the last one
// left behind. It is called by who holds the turn.
func (db *DB) continues(found ledger) error {
	db.mu.Lock()
	same := found == db.ledger
	db.mu.Unlock()
	if same {
		return nil
	}
	return db.refuse(errExchanged)
}

// refuse gives up. It is called by who holds the turn.
func (db *DB) refuse(cause error) error {
	err := fmt.Errorf("%w: %w; nothing more is written", state.ErrUnavailable, cause)
	db.giveUp(err)
	return err
}
