package watcher

import (
	"math/bits"

	"github.com/jwkswatch/jwkswatch/rules"
)

// recentPolls is how many polls the rules look back at.
const recentPolls = 50

// recent remembers how the last polls ended. It is lost with the process: a good
// poll must not cost a write.
type recent struct {
	failed uint64 // a bit a poll, the last one lowest
	polls  uint8
}

func (r *recent) note(failed bool) {
	r.failed <<= 1
	if failed {
		r.failed |= 1
	}
	r.failed &= 1<<recentPolls - 1
	r.polls = min(r.polls+1, recentPolls)
}

func (r *recent) counts() *rules.Recent {
	return &rules.Recent{
		Polls: int(r.polls), Failed: bits.OnesCount64(r.failed),
		Rows: bits.OnesCount64(r.failed &^ (r.failed >> 1)), // the first of each row
	}
}
