package configs

// relations are what the keys of a mapping demand of each other, as the checks
// in check.go and access.go do.
func relations(key string, fields []field) []*schema {
	switch key {
	case "endpoints":
		return endpointRelations()
	case "sinks":
		return sinkRelations(fields)
	case "web":
		return webRelations()
	case "windows":
		return []*schema{{OneOf: []*schema{has("weekly"), has("dated")}}}
	case "tls":
		return []*schema{bothOrNone("cert_file", "key_file")}
	}
	return nil
}

func bothOrNone(a, b string) *schema {
	return &schema{DependentRequired: map[string][]string{a: {b}, b: {a}}}
}

func has(keys ...string) *schema { return &schema{Required: keys} }

// where is true of a mapping in which the key is there and its value so.
func where(key string, s *schema) *schema {
	return &schema{Required: []string{key}, Properties: map[string]any{key: s}}
}

func not(s *schema) *schema { return &schema{Not: s} }

func anyOf(list ...*schema) *schema { return &schema{AnyOf: list} }

// text is true of a string that has the pattern.
func text(pattern string) *schema { return &schema{Type: "string", Pattern: pattern} }

// maybe is true of a boolean that is true or that an expansion may make true.
func maybe() *schema { return not(&schema{Enum: []any{false, "false"}}) }

func endpointRelations() []*schema {
	var open []*schema
	for _, key := range []string{"issuer", "jwks_uri"} {
		open = append(open, not(where(key, text("^[Hh][Tt][Tt][Pp]://|"+hostIs(privateHost)))))
	}
	clear := anyOf(where("issuer", text("^[Hh][Tt][Tt][Pp]://")), where("jwks_uri", text("^[Hh][Tt][Tt][Pp]://")))
	policy := anyOf(has("ca_file"), has("pins"), has("cert_file"))
	return []*schema{
		{OneOf: []*schema{has("issuer"), has("jwks_uri")}},
		{If: where("allow_private", maybe()), Else: &schema{AllOf: open}},
		{If: clear, Then: not(where("tls", policy))},
	}
}

func sinkRelations(fields []field) []*schema {
	foreign := &schema{Properties: map[string]any{}}
	needed := &schema{}
	for i := range fields {
		f := &fields[i]
		if f.only != TypeNATS {
			continue
		}
		foreign.Properties[f.key] = false
		if f.required {
			needed.Required = append(needed.Required, f.key)
		}
	}
	secured := anyOf(
		where("insecure", maybe()),
		where("tls", anyOf(has("ca_file"), has("cert_file"), where("handshake_first", maybe()))),
		where("url", not(text(anchored(natsPattern())))), // an expansion
		where("url", text(natsSafe())),
	)
	out := []*schema{
		{If: where("type", &schema{Enum: []any{TypeLog}}), Then: foreign},
		{If: where("type", &schema{Enum: []any{TypeNATS}}), Then: needed},
		{If: has("url"), Then: secured},
		bothOrNone("user", "password_file"),
	}
	kinds := []string{"credentials_file", "nkey_file", "token_file", "user"}
	for i, a := range kinds {
		for _, b := range kinds[i+1:] {
			out = append(out, not(has(a, b)))
		}
	}
	return out
}

func webRelations() []*schema {
	reached := where("listen", text("^(?:"+listenPattern()+")$"))
	local := where("listen", text(loopbackPattern))
	return []*schema{{If: &schema{AllOf: []*schema{reached, not(local)}}, Then: has("tls", "token_file")}}
}
