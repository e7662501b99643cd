//go:build !linux

package bolt

import "errors"

// FreeRoom cannot tell here.
func FreeRoom(string) (uint64, error) { return 0, errors.ErrUnsupported }
