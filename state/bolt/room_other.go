//go:build !linux

package bolt

import "errors"

// freeRoom cannot tell here.
func freeRoom(string) (uint64, error) { return 0, errors.ErrUnsupported }
