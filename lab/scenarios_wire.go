package lab

import "time"

func wireScenarios() []Scenario {
	resets := func(name string, at Phase) Scenario {
		return Scenario{
			"reset-" + name, "Reset " + string(at), "The connection is lost " + string(at) + ".", Broken,
			func() Answer { return Reset(at) },
		}
	}
	frames := func(name, title string, kind byte) Scenario {
		return Scenario{
			"h2-" + name, title + " for ever", "HTTP/2 frames of one type without end, to a client that did not ask for HTTP/2.", Broken,
			func() Answer { return Frames(kind) },
		}
	}
	return []Scenario{
		{"hang", "Silence", "The request is taken and never answered.", Broken, Hang},
		resets("before-header", BeforeHeader),
		resets("in-header", InHeader),
		resets("after-header", AfterHeader),
		resets("in-body", InBody),
		{
			"garbage", "Not HTTP", "Octets that are no HTTP at all.", Broken,
			func() Answer { return Raw("\x00\x01SSH-2.0-lab\r\n\xff\xff\r\n\r\n") },
		},
		{"truncated", "Half of the body", "The length of the whole document, and half of it.", Broken, Truncated},
		{"no-length", "No length at all", "The whole document, ended by the end of the connection as in HTTP/1.0.", Whole, NoLength},
		{"broken-chunks", "A chunk that is none", "The whole document, then a chunk length that is no number.", Broken, BrokenChunks},
		{"unended-chunks", "No last chunk", "The whole document, but not the end of the answer.", Broken, UnendedChunks},
		{"two-lengths", "Two lengths", "Two Content-Length lines that disagree.", Broken, TwoLengths},
		{"short-length", "Half of the length", "Half of the length of what is sent: the rest belongs to no answer.", Invalid, ShortLength},
		frames("settings", "Settings", frameSettings),
		frames("ping", "Pings", framePing),
		frames("goaway", "Goodbyes", frameGoAway),
		frames("push", "Pushes", framePushPromise),
		{
			"huge-header", "A header of 16 MiB", "One header line of 16 MiB before an honest body.", Broken,
			func() Answer { return HugeHeader(16 << 20) },
		},
		{"informational", "Early hints for ever", "103 Early Hints without end.", Broken, Informational},
		{
			"trickle-header", "A header by drops", "An octet a second, without end.", Broken,
			func() Answer { return TrickleHeader(time.Second) },
		},
		{
			"trickle-body", "A body by drops", "An octet each two seconds: whole after minutes, if anybody waits.", Broken,
			func() Answer { return TrickleBody(2 * time.Second) },
		},
	}
}
