package http1

import (
	"strings"
	"testing"

	"github.com/socketflow/socketflow/internal/protocol"
)

// sample is the first bytes of one direction.
func sample(d protocol.Direction, text string, joined bool) *protocol.Sample {
	s := &protocol.Sample{Joined: joined, First: d}
	s.Bytes[d] = []byte(text)
	return s
}

func TestDetect(t *testing.T) {
	const (
		no    = protocol.No
		weak  = protocol.Weak
		maybe = protocol.NeedMore
		yes   = protocol.Certain
	)
	for text, want := range map[string]struct{ first, joined protocol.Confidence }{
		"G":                           {maybe, maybe},
		"GE":                          {maybe, maybe},
		"GET":                         {maybe, maybe},
		"GET ":                        {maybe, maybe},
		"GET /":                       {maybe, maybe},
		"GET /a?b=c HTTP/1":           {maybe, maybe},
		"GET /a?b=c HTTP/1.":          {yes, maybe},
		"GET / HTTP/1.1\r":            {yes, maybe},
		"GET / HTTP/1.1\r\n":          {yes, yes},
		"GET / HTTP/1.1\r\nHost":      {yes, yes},
		"GET / HTTP/1.0\r\n\r\n":      {yes, yes},
		"GET / HTTP/1.1\n":            {weak, no},
		"GET / HTTP/2.0\r\n":          {weak, no},
		"GET /\r\n":                   {weak, no},
		"GET / \r\n":                  {weak, no},
		"\r\n\nGET / HTTP/1.1\r\n":    {yes, no},
		"\r\n":                        {maybe, no},
		"\r\n\r\n\r\n\r\n\r\n":        {no, no},
		"FROB / HTTP/1.1\r\n":         {yes, no},
		"FROBNICATING-THINGS / HTTP/": {maybe, no},
		"FROBNICATINGALLTHINGS / ":    {maybe, no},
		"FROBNICATINGALLTHINGS":       {maybe, no},
		"get / HTTP/1.1\r\n":          {weak, no},
		"-GET / HTTP/1.1\r\n":         {weak, no},
		" GET / HTTP/1.1\r\n":         {weak, no},
		"\r\n GET / HTTP/1.1\r\n":     {weak, no},
		"G\xffT / HTTP/1.1\r\n":       {weak, no},
		"G\xffT /":                    {maybe, no},
		strings.Repeat("M", 300) + " / HTTP/1.1\r\n": {weak, no},
		"GET\r\n":                                                {weak, no},
		"HELLO\r\n":                                              {no, no},
		"HELLO /\r\n":                                            {no, no},
		"\x00GET / HTTP/1.1\r\n":                                 {no, no},
		"PROPFIND /dav HTTP/1.1\r\n":                             {yes, yes},
		"OPTIONS * HTTP/1.1\r\n":                                 {yes, yes},
		"CONNECT h:443 HTTP/1.1\r\n":                             {yes, yes},
		"CONNECT [::1]:1 HTTP/1.1\r\n":                           {yes, yes},
		"GET http://h/ HTTP/1.1\r\n":                             {yes, yes},
		"GET HTTPS://h/ HTTP/1.1\r\n":                            {yes, yes},
		"GET h:443 HTTP/1.1\r\n":                                 {weak, no},
		"GET ftpx://h HTTP/1.1\r\n":                              {weak, no},
		"GET /a b HTTP/1.1\r\n":                                  {weak, no},
		"GET /\x00 HTTP/1.1\r\n":                                 {weak, no},
		"GET /\x00":                                              {maybe, no},
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                       {no, no},
		"PRI * HTTP/1.1\r\n":                                     {no, no},
		"PRI ":                                                   {no, no},
		"OPTIONS rtsp://h/a RTSP/1.0\r\n":                        {weak, no},
		"OPTIONS * RTSP/1.0\r\n":                                 {weak, no},
		"DESCRIBE rtsp://h/a":                                    {maybe, no},
		"INVITE sip:a@b SIP/2.0\r\n":                             {no, no},
		"REGISTER sips:b SIP/2.0\r\n":                            {no, no},
		"PING\r\n":                                               {no, no},
		"GET key\r\n":                                            {weak, no},
		"SET key HTTP/1.1\r\n":                                   {weak, no},
		"SET /key value\r\n":                                     {no, no},
		"*1\r\n$4\r\nPING\r\n":                                   {no, no},
		"EHLO example.com\r\n":                                   {no, no},
		"SSH-2.0-x\r\n":                                          {no, no},
		"\x16\x03\x01\x02\x00":                                   {no, no},
		"HTTP/1.1 200 OK\r\n":                                    {no, no},
		"GET /" + strings.Repeat("a", 500):                       {maybe, maybe},
		"GET /" + strings.Repeat("a", 507):                       {yes, yes},
		"FROB /" + strings.Repeat("a", 507):                      {yes, no},
		"GET /" + strings.Repeat("a", 507) + " RTSP/1.0":         {no, no},
		"GET /" + strings.Repeat("a", 2000) + " HTTP/1.1\r\n":    {yes, yes},
		"GET /" + strings.Repeat("a", 500) + "\n HTTP/1.1\r\n":   {weak, no},
		"\r\n\r\n\r\n\r\nGET /" + strings.Repeat("a", 512-13):    {yes, no},
		"POST http://" + strings.Repeat("h", 500) + "/a HTTP/1.": {yes, yes},
	} {
		if got := detect(sample(protocol.FromClient, text, false)); got != want.first {
			t.Errorf("first, %q: %d", text, got)
		}
		if got := detect(sample(protocol.FromClient, text, true)); got != want.joined {
			t.Errorf("joined, %q: %d", text, got)
		}
	}
	for text, want := range map[string]protocol.Confidence{
		"H":                         maybe,
		"HTTP/1.1 20":               maybe,
		"HTTP/1.1 200":              protocol.Strong,
		"HTTP/1.0 404 Not Found":    protocol.Strong,
		"HTTP/1.1 200\r\n":          protocol.Strong,
		"HTTP/1.1 099":              no,
		"HTTP/1.1 2000":             no,
		"HTTP/1.1 \t200":            protocol.Strong,
		"HTTP/1.x 200":              no,
		"HTTP/2 200":                no,
		"RTSP/1.0 200 OK":           no,
		"SIP/2.0 200 OK":            no,
		"+PONG\r\n":                 no,
		"http/1.1 200 OK":           no,
		"\r\nHTTP/1.1 200 OK":       no,
		"GET / HTTP/1.1\r\n":        no,
		"\x00\x00\x12\x04\x00\x00":  no,
		"HTTP/1.1 404 " + longWords: protocol.Strong,
	} {
		for _, joined := range []bool{false, true} {
			if got := detect(sample(protocol.FromServer, text, joined)); got != want {
				t.Errorf("response, %q: %d", text, got)
			}
		}
	}
}

var longWords = strings.Repeat("word ", 500)

func FuzzDetect(f *testing.F) {
	for _, seed := range []string{
		get, ok, "\r\n" + postChunks, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "OPTIONS rtsp://h RTSP/1.0\r\n", "CONNECT h:1 HTTP/1.1\r\n\r\n",
		"GET http://h/ HTTP/1.0\r\n", "HTTP/1.1 100\r\n\r\n", "GET /" + strings.Repeat("a", 600), "SET key value\r\n",
	} {
		f.Add([]byte(seed), uint16(len(seed)/2), true, true)
		f.Add([]byte(seed), uint16(9), false, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, cut uint16, fromClient, first bool) {
		if len(b) == 0 {
			return
		}
		d := protocol.FromServer
		if fromClient {
			d = protocol.FromClient
		}
		confidence := detect(sample(d, string(b), !first))
		if len(b) >= enough && confidence == protocol.NeedMore {
			t.Errorf("%d bytes are not enough", len(b))
		}
		if n := int(cut); n > 0 && n < len(b) {
			if before := detect(sample(d, string(b[:n]), !first)); before == protocol.No && confidence != protocol.No {
				t.Errorf("%d bytes are not the protocol, %d are", n, len(b))
			}
		}
		// The parser accepts every message that detection calls unmistakable.
		if confidence >= protocol.Strong && !first && len(b) < enough {
			s := newScene(true)
			s.play(1, step{direction: d, bytes: string(b)}, whole)
			if fromClient && s.parser.waiting == 0 && s.exchanges == 0 && len(s.emitted) == 0 {
				t.Errorf("no request was found")
			}
		}
	})
}
