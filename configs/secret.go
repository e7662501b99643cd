package configs

import (
	"fmt"
	"io"
)

// Redacted stands for the value of a Secret wherever one is printed.
const Redacted = "[redacted]"

// Secret is a text that prints as [redacted] in every way Go prints a value.
// Only Reveal gives it away. The zero Secret is the empty text.
type Secret struct {
	// A pointer, because fmt does not call methods on the unexported fields of
	// other structs: there it prints what it finds, and of a pointer that is an
	// address.
	value *string
}

// NewSecret keeps the text secret.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// String implements fmt.Stringer.
func (Secret) String() string { return Redacted }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return Redacted }

// Format implements fmt.Formatter, for all verbs.
func (Secret) Format(f fmt.State, _ rune) {
	// The verbs %x and %X would print the octets of what String returns; a
	// reader is better served by the same word everywhere.
	_, _ = io.WriteString(f, Redacted)
}

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalJSON implements json.Marshaler, and so what zerolog prints.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Redacted + `"`), nil }

// MarshalYAML implements the Marshaler of go.yaml.in/yaml.
func (Secret) MarshalYAML() (any, error) { return Redacted, nil }
