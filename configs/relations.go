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
	secured := anyOf(
		where("insecure", maybe()),
		where("tls", anyOf(has("ca_file"), has("cert_file"), where("handshake_first", maybe()))),
		where("url", not(text(anchored(natsPattern())))), // an expansion
		where("url", text(natsSafe())),
	)
	is := func(typ string) *schema { return where("type", &schema{Enum: []any{typ}}) }
	clear := where("url", text("^[Hh][Tt][Tt][Pp]://"))
	open := anyOf(where("insecure", maybe()), where("url", text(`^[Hh][Tt][Tt][Pp]://(?:localhost|127\.[0-9.]+|\[::1\])(?:[:/?]|$)`)))
	out := []*schema{
		{If: &schema{AllOf: []*schema{is(TypeNATS), has("url")}}, Then: secured},
		{If: &schema{AllOf: []*schema{is(TypeWebhook), clear}}, Then: &schema{AllOf: []*schema{open, not(has("tls"))}}},
		{If: &schema{AllOf: []*schema{is(TypeSyslog), where("address", text("^(?:tcp|udp)://"))}}, Then: not(has("tls"))},
		bothOrNone("user", "password_file"),
	}
	for _, typ := range sinkTypes() {
		out = append(out, &schema{If: is(typ), Then: sinkOf(typ, fields)})
	}
	kinds := []string{"credentials_file", "nkey_file", "token_file", "user"}
	for i, a := range kinds {
		for _, b := range kinds[i+1:] {
			out = append(out, not(has(a, b)))
		}
	}
	return out
}

// sinkOf is what a sink of one type has, of the keys that not all types have.
func sinkOf(typ string, fields []field) *schema {
	s := &schema{Properties: map[string]any{}}
	for i := range fields {
		f := &fields[i]
		switch {
		case f.only == "" || !f.built():
		case f.only == typ:
			s.Properties[f.key] = f.schema()
			if f.required {
				s.Required = append(s.Required, f.key)
			}
		case s.Properties[f.key] == nil:
			s.Properties[f.key] = false
		}
	}
	return s
}

func webRelations() []*schema {
	reached := where("listen", text("^(?:"+listenPattern()+")$"))
	local := where("listen", text(loopbackPattern))
	return []*schema{{If: &schema{AllOf: []*schema{reached, not(local)}}, Then: has("tls", "token_file")}}
}
