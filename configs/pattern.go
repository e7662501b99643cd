package configs

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// The patterns of the schema, in the part of ECMA-262 that RE2 reads as well.
// Each says what the function beside it in value.go or url.go says; where a
// regular expression cannot be exact, it accepts more. TestPatterns and
// FuzzSchema hold the two together.

// shape is what the schema says of a scalar. The loader works on the text, so a
// YAML number or boolean is good wherever its text is.
type shape struct {
	pattern     string   // of the whole text; "" is one line of visible text
	not         string   // pattern of texts that are refused all the same
	enum        []string // instead of a pattern
	short, long int      // characters; 0 is no bound
	least, most int64    // of a number; both 0 is no bound
	plain       []string // JSON types besides string
}

func anchored(pattern string) string { return "^(?:" + pattern + ")$" }

// invisible is the inside of a class: what event.Text does not keep, but for the
// few ignorable characters that no pattern can name.
const invisible = `\p{Cc}\p{Cf}\p{Co}\p{Zl}\p{Zp}`

// An expansion, and what may stand around it: a $ is literal before anything but
// a brace.
const (
	expandName = `[A-Za-z_][A-Za-z0-9_]*`
	expandOne  = `\$+\{(?:env:` + expandName + `(?::-(?:[^$}]|\$+[^${}])*\$*)?|file:(?:[^$}]|\$+[^${}])+)\}`
)

// literal is a text of such characters (as the inside of a negated class) in
// which every ${ is an expansion.
func literal(unwanted string) string {
	return `(?:[^$` + unwanted + `]|\$+[^${` + unwanted + `]|` + expandOne + `)*\$*`
}

func expansionPattern() string {
	return anchored(literal("") + expandOne + literal(""))
}

const namePattern = `[a-z0-9][a-z0-9_-]{0,62}`

const subjectPattern = `[a-z0-9_-]+(?:\.[a-z0-9_-]+)*`

const pinPattern = `sha256/[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=`

// Parts of a URL.
const (
	labelPattern = `[A-Za-z0-9_-]{1,63}`
	octetPattern = `(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`
	v4Pattern    = `(?:` + octetPattern + `\.){3}` + octetPattern
	v6Pattern    = `\[(?:[0-9A-Fa-f]{0,4}:){2,7}(?:[0-9A-Fa-f]{0,4}|` + v4Pattern + `)\]`
	hostPattern  = `(?:(?:` + labelPattern + `\.)*[A-Za-z][A-Za-z0-9_-]{0,62}\.?|` + v4Pattern + `|` + v6Pattern + `)`
	pathChar     = `[A-Za-z0-9._~:/@!$&'()*+,;=-]|%[0-9A-Fa-f]{2}`
	httpPattern  = `[Hh][Tt][Tt][Pp][Ss]?`
	httpsPattern = `[Hh][Tt][Tt][Pp][Ss]`
	localName    = `(?:[A-Za-z0-9_-]+\.)*[Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt]\.?`
	// neverHost are the addresses that are refused under every policy, privateHost
	// those that want allow_private.
	neverHost = `(?:(?:0|169\.254|192\.0\.[02]|192\.88\.99|198\.1[89]|198\.51\.100|203\.0\.113|22[4-9]|2[3-5][0-9])\.[0-9.]+` +
		`|100\.100\.100\.200|168\.63\.129\.16|\[::\]|\[::[fF]{4}:[^\]]*\]|\[[fF][eEfF][^\]]*\])`
	privateHost = `(?:` + localName + `|(?:10|127|192\.168|172\.(?:1[6-9]|2[0-9]|3[01])|100\.(?:6[4-9]|[7-9][0-9]|1[01][0-9]|12[0-7]))\.[0-9.]+` +
		`|\[::1\]|\[[fF][cCdD][^\]]*\])`
	afterHost = `(?:[:/?]|$)`
)

func portPattern(least int64) string { return `(?:` + between(least, 65535) + `)` }

func urlPattern() string {
	return httpPattern + `://` + hostPattern + `(?::` + portPattern(1) + `)?(?:[/?](?:` + pathChar + `|\?)*)?`
}

func issuerPattern() string {
	return httpPattern + `://` + hostPattern + `(?::` + portPattern(1) + `)?(?:/(?:` + pathChar + `)*)?`
}

func proxyPattern() string {
	return proxyNone + `|` + httpPattern + `://` + hostPattern + `:` + portPattern(1) + `/?`
}

// hostIs is the pattern of an http URL with such a host.
func hostIs(host string) string { return `^` + httpPattern + `://` + host + afterHost }

// listenPattern is host:port; loopbackPattern those that stay on this machine.
func listenPattern() string {
	return `(?:localhost|` + v4Pattern + `|\[[0-9a-f]*:[0-9a-f:.]*(?:%[A-Za-z0-9_.-]+)?\]):` + portPattern(0)
}

const loopbackPattern = `^(?:localhost|127\.[0-9.]+|\[::1\]):`

// natsServer is one server; natsLocal one that cannot be reached over a network.
func natsServer(scheme, host string) string {
	return `\s*` + scheme + `://` + host + `(?::` + portPattern(1) + `)?/?\s*`
}

func natsPattern() string {
	one := natsServer(`(?:[Tt][Ll][Ss]|[Nn][Aa][Tt][Ss])`, hostPattern)
	return one + `(?:,` + one + `)*`
}

// natsSafe are the lists of servers that need neither TLS settings nor
// insecure: one of them has TLS, which then holds for all, or all are local.
func natsSafe() string {
	local := natsServer(`[Nn][Aa][Tt][Ss]`, `(?:localhost|127\.[0-9.]+|\[::1\])`)
	return `(?:^|,)\s*[Tt][Ll][Ss]://|^` + local + `(?:,` + local + `)*$`
}

// durationPattern is what parseDuration reads, of at least so long.
func durationPattern(least time.Duration) string {
	var leads []string
	tail := ""
	all := units()
	for i := len(all) - 1; i >= 0; i-- {
		u := all[i]
		lead := between(max(1, int64(least/u.size)), u.most)
		leads = append(leads, `(?:`+lead+`)`+u.name+tail)
		if u.carry > 0 {
			tail = `(?:(?:` + between(0, u.carry-1) + `)` + u.name + `)?` + tail
		}
	}
	return strings.Join(leads, "|")
}

func sizePattern(least, most int64) string {
	parts := []string{`(?:` + between(least, most) + `)`}
	for _, u := range []struct {
		name string
		size int64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}} {
		if most >= u.size {
			parts = append(parts, `(?:`+between((least+u.size-1)/u.size, most/u.size)+`)`+u.name)
		}
	}
	return strings.Join(parts, "|")
}

// between is a pattern of the decimal numbers from least to most, without
// leading zeros.
func between(least, most int64) string {
	var parts []string
	for least <= most {
		if k, m := powers(least, most); m > k {
			parts = append(parts, fmt.Sprintf("[1-9][0-9]{%d,%d}", k, m))
			least = power(m + 1)
			continue
		}
		// The widest block that begins here: 340 to 399 is 3[4-9][0-9].
		block := int64(1)
		for least != 0 && least%(block*10) == 0 && least+block*10-1 <= most {
			block *= 10
		}
		digit := least / block % 10
		last := min(9, digit+(most-least+1)/block-1)
		// A number with more digits begins a block of its own.
		free := len(strconv.FormatInt(block, 10)) - 1
		head := ""
		if least/block >= 10 {
			head = strconv.FormatInt(least/block/10, 10)
		}
		parts = append(parts, head+class(digit, last)+digits(free))
		least += (last - digit + 1) * block
	}
	return strings.Join(parts, "|")
}

// powers says that all numbers of k+1 to m+1 digits lie between; m is less than
// k when there are none.
func powers(least, most int64) (k, m int) {
	for power(k) < least {
		k++
	}
	if power(k) != least {
		return k, k - 1
	}
	for m = k - 1; power(m+2)-1 <= most; {
		m++
	}
	return k, m
}

func power(n int) int64 {
	p := int64(1)
	for range n {
		p *= 10
	}
	return p
}

func class(first, last int64) string {
	if first == last {
		return strconv.FormatInt(first, 10)
	}
	return fmt.Sprintf("[%d-%d]", first, last)
}

func digits(n int) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "[0-9]"
	}
	return fmt.Sprintf("[0-9]{%d}", n)
}

// anyCase is a word in either case: patterns have no flags.
func anyCase(word string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(word) {
		if 'a' <= r && r <= 'z' {
			fmt.Fprintf(&b, "[%c%c]", r-'a'+'A', r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}
