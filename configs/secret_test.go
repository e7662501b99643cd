package configs

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.yaml.in/yaml/v4"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	t.Parallel()
	s := NewSecret(canary)
	type holder struct {
		Public  Secret
		hidden  Secret // fmt calls no methods here
		pointer *Secret
		List    []Secret
		Map     map[string]Secret
		Any     any
		Endpoint
	}
	h := holder{s, s, &s, []Secret{s}, map[string]Secret{"k": s}, s, Endpoint{Headers: map[string]Secret{"A": s}}}
	_ = h.hidden // is printed below
	_ = h.pointer
	for _, value := range []any{s, &s, h, &h, []Secret{s}, map[string]Secret{"k": s}, [1]Secret{s}, fmt.Errorf("x: %v", s)} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10.3s", "%T %[1]v", "%!"} {
			check(t, verb, fmt.Sprintf(verb, value))
		}
		check(t, "Sprint", fmt.Sprint(value))
		encoded, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		check(t, "json", string(encoded))
		var b bytes.Buffer
		log := zerolog.New(&b)
		log.Info().Interface("a", value).Any("b", value).Msgf("%v", value)
		log.Info().Stringer("c", s).Fields(map[string]any{"d": value}).Send()
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", value)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", value)
		check(t, "log", b.String())
	}
	out, err := yaml.Marshal(map[string]any{"s": s, "p": &s})
	if err != nil {
		t.Fatal(err)
	}
	check(t, "yaml", string(out))
	out, err = xml.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "xml", string(out))

	for _, direct := range []string{fmt.Sprint(s), fmt.Sprintf("%x", s), fmt.Sprintf("%#v", s), s.String(), s.GoString()} {
		if direct != Redacted {
			t.Errorf("printed as %q", direct)
		}
	}
	if s.Reveal() != canary || (Secret{}).Reveal() != "" {
		t.Error("Reveal does not give the text")
	}
	if !reflect.DeepEqual(s, NewSecret(canary)) || reflect.DeepEqual(s, NewSecret("other")) {
		t.Error("two secrets cannot be told apart")
	}
}

func check(t *testing.T, how, printed string) {
	t.Helper()
	if strings.Contains(printed, canary) || strings.Contains(printed, fmt.Sprintf("%x", canary)) || strings.Contains(printed, fmt.Sprintf("%X", canary)) {
		t.Errorf("%s shows the secret: %s", how, printed)
	}
}
