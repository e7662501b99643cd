package history_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

func TestRotationSurvivesStorage(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m, _ := history.Decode(nil)
	m.Accept([]jwks.Key{{ID: jwks.Identity{Kind: jwks.Thumbprint, Sum: [32]byte{1}}, Kty: "RSA", Issuer: "i", X5U: "u", Exp: "1", Nbf: "2"}}, time.Time{}, at)
	m.Rotation = history.Rotation{
		Since: at, Profile: []history.Profile{{Kty: "RSA\xff", Crv: "c", Alg: "a", Bits: 2048}}, Steps: []int{1, 0, 3},
		Turns:   []history.Turn{{After: at, At: at.Add(time.Second)}, {After: at.Add(time.Hour), At: at.Add(2 * time.Hour)}},
		Stirred: at.Add(3 * time.Hour), Quiet: 77 * time.Second, Outside: at.Add(4 * time.Hour), Beside: true, Moves: 2,
	}
	encoded, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := history.Decode(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.Rotation, m.Rotation) {
		t.Errorf("\n got %+v\nwant %+v", back.Rotation, m.Rotation)
	}
	if k := back.Live[0]; k.Issuer != "i" || k.X5U != "u" || k.Exp != "1" || k.Nbf != "2" {
		t.Errorf("%+v", k)
	}
	c := m.Clone()
	c.Rotation.Profile[0].Bits, c.Rotation.Steps[0], c.Rotation.Turns[0].At = 1, 9, at
	if m.Rotation.Profile[0].Bits != 2048 || m.Rotation.Steps[0] != 1 || m.Rotation.Turns[0].At.Equal(at) {
		t.Error("a clone shares what a step changes")
	}
}

func TestRotationIsBounded(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := history.Rotation{Since: at}
	for i := range 100 {
		r.Learn([]jwks.Key{{ID: jwks.Identity{Kind: jwks.Thumbprint}, Kty: "RSA", Alg: fmt.Sprint(i)}})
		r.Add(i)
		r.Turned(history.Turn{At: at.Add(time.Duration(i) * time.Hour)}, time.Minute)
	}
	if len(r.Profile) != history.MaxProfile || len(r.Steps) != history.MaxSteps || len(r.Turns) != history.MaxTurns {
		t.Errorf("%d kinds, %d steps, %d rotations", len(r.Profile), len(r.Steps), len(r.Turns))
	}
	if r.Profile[0].Alg != "0" || r.Steps[0] != 100-history.MaxSteps {
		t.Error("junk pushed out what was learned, or old steps the new ones")
	}
}

func TestOneRotationInTwoSteps(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var r history.Rotation
	for _, d := range []time.Duration{0, time.Hour, time.Hour + 1} {
		r.Turned(history.Turn{At: at.Add(d)}, time.Hour)
	}
	if len(r.Turns) != 2 {
		t.Errorf("%+v", r.Turns)
	}
	r.Stir(at)
	r.Stir(at.Add(5 * time.Hour))
	r.Stir(at.Add(6 * time.Hour))
	if r.Quiet != 5*time.Hour || !r.Stirred.Equal(at.Add(6*time.Hour)) {
		t.Errorf("%+v", r)
	}
}

// TestSeed reads what kinds of keys were seen out of a memory from before they
// were noted.
func TestSeed(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	key := func(n byte, alg, use string) jwks.Key {
		return jwks.Key{ID: jwks.Identity{Kind: jwks.Thumbprint, Sum: [32]byte{n}}, Kty: "RSA", Alg: alg, Use: use}
	}
	m, _ := history.Decode(nil)
	if m.Seed() {
		t.Error("there was nothing to read")
	}
	m.Accept([]jwks.Key{key(1, "RS256", ""), key(2, "RSA-OAEP", "enc")}, time.Time{}, at)
	m.Accept([]jwks.Key{key(3, "PS256", "")}, at, at.Add(time.Hour))
	if !m.Seed() || m.Seed() {
		t.Error("it is done once")
	}
	if r := m.Rotation; len(r.Profile) != 2 || r.Profile[0].Alg != "PS256" || r.Profile[1].Alg != "RS256" || !r.Since.Equal(at) || r.Beside {
		t.Errorf("%+v", r)
	}
	if back := m.Sightings[key(1, "", "").ID]; back.Key.Issuer != "" {
		t.Errorf("%+v", back)
	}
}
