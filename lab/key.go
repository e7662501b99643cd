package lab

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
)

// Key is a key pair with the labels it is published under. It is a value:
// methods return a changed copy and never touch the receiver. An empty Kid, Alg
// or Use means that the member is absent. The zero Key has no material at all
// and serves to build an entry by hand, with With.
//
// Kid, Alg and Use are printed as JSON strings, so ill-formed UTF-8 in them
// becomes U+FFFD; to publish hostile octets use With and a json.RawMessage,
// which is printed as it is.
type Key struct {
	Kid string
	Alg string // RS256, ES256, ES384, ES512, EdDSA or HS256 from the constructors
	Use string // sig from the constructors

	material *material      // never changed once made, so copies may share it
	members  map[string]any // override the rest; cloned on every write
	without  []string       // members that are not printed
}

// material is one key pair, already in the text of a JWK.
type material struct {
	kty, crv string
	bits     int
	seed     string // "" when the material is random
	public   map[string]string
	private  map[string]string
	signer   crypto.Signer // nil for oct and for RSA below 1024 bits
}

// Public is the entry as an honest issuer publishes it: never d, p, q, dp, dq,
// qi or k. The map is the caller's.
func (k Key) Public() map[string]any { return k.entry(false) }

// Private is the entry with its private half, as a careless issuer leaks it.
// The map is the caller's.
func (k Key) Private() map[string]any { return k.entry(true) }

func (k Key) entry(private bool) map[string]any {
	e := make(map[string]any)
	for name, v := range map[string]string{"kid": k.Kid, "alg": k.Alg, "use": k.Use} {
		if v != "" {
			e[name] = v
		}
	}
	if m := k.material; m != nil {
		e["kty"] = m.kty
		if m.crv != "" {
			e["crv"] = m.crv
		}
		for name, v := range m.public {
			e[name] = v
		}
		if private {
			for name, v := range m.private {
				e[name] = v
			}
		}
	}
	for name, v := range k.members {
		e[name] = cloneValue(v)
	}
	for _, name := range k.without {
		delete(e, name)
	}
	return e
}

// With returns a copy that has the member, whatever it was before. A value nil
// prints null, a json.RawMessage prints its octets unchanged, everything else
// prints as encoding/json has it. A non-empty string for kid, alg or use sets
// the field of that name, so that an Issuer still finds the key.
func (k Key) With(member string, value any) Key {
	k = k.Without(member) // which clones members, so that k may write below
	k.without = without(k.without, member)
	if s, ok := value.(string); ok && s != "" {
		if field := k.label(member); field != nil {
			*field = s
			return k
		}
	}
	if k.members == nil {
		k.members = make(map[string]any)
	}
	k.members[member] = cloneValue(value)
	return k
}

// Without returns a copy that lacks the member, even one that belongs to the
// material.
func (k Key) Without(member string) Key {
	if field := k.label(member); field != nil {
		*field = ""
	}
	k.members = maps.Clone(k.members)
	delete(k.members, member)
	k.without = append(without(k.without, member), member)
	return k
}

// label is the field that holds a member, or nil.
func (k *Key) label(member string) *string {
	switch member {
	case "kid":
		return &k.Kid
	case "alg":
		return &k.Alg
	case "use":
		return &k.Use
	}
	return nil
}

// Renew returns a copy with new material of the same type and size under the
// same labels. Members that speak of the old material (certificates, and any
// number given by With) are gone. A key made from a seed gets the material of
// the next seed, so the whole story stays deterministic.
func (k Key) Renew() Key {
	if k.material == nil {
		return k
	}
	old := k.material
	k.material = old.next()
	k.members = maps.Clone(k.members)
	for name := range old.private {
		delete(k.members, name)
	}
	for name := range old.public {
		delete(k.members, name)
	}
	for _, name := range []string{"x5c", "x5t", "x5t#S256", "x5u"} {
		delete(k.members, name)
	}
	return k
}

// Signer signs with the private half. It is nil for symmetric keys, for RSA
// below 1024 bits, which crypto/rsa refuses, and for the zero Key.
func (k Key) Signer() crypto.Signer {
	if k.material == nil {
		return nil
	}
	return k.material.signer
}

func without(list []string, s string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(v string) bool { return v == s })
}

// cloneValue copies the JSON containers a caller might go on writing to.
func cloneValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		c := make(map[string]any, len(v))
		for name, e := range v {
			c[name] = cloneValue(e)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, e := range v {
			c[i] = cloneValue(e)
		}
		return c
	case []string:
		// Not slices.Clone alone: key_ops [] and key_ops null differ.
		return append(make([]string, 0, len(v)), v...)
	case json.RawMessage:
		return slices.Clone(v)
	}
	return v
}

func b64(octets []byte) string { return base64.RawURLEncoding.EncodeToString(octets) }

// unb64 reads what b64 wrote.
func unb64(s string) []byte {
	octets, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		panic("lab: decoding own base64url: " + err.Error())
	}
	return octets
}
