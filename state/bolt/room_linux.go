package bolt

import "syscall"

// FreeRoom returns how many octets this process may still write to the file
// system of a folder.
func FreeRoom(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Frsize), nil
}
