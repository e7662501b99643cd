package configs

import "embed"

//go:embed examples/*.yaml
var examples embed.FS

// Example returns a shipped configuration: minimal, a start for an own one, or
// full, which shows every key. ok is false for any other name.
func Example(name string) (src []byte, ok bool) {
	src, err := examples.ReadFile("examples/" + name + ".yaml")
	return src, err == nil
}
