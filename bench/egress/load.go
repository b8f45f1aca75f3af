// The clients of the egress benchmark. Every response is verified: the chain up to the given root, the
// host name, the status, and the body byte by byte. Prints one JSON object.
//
// It speaks HTTP itself, since net/http costs more than a fast proxy does and would dominate the figures.
package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

var (
	proxy    = flag.String("proxy", "", "host:port of the proxy; empty for a direct connection")
	roots    = flag.String("roots", "", "PEM file of the roots")
	target   = flag.String("url", "", "URL to request")
	mode     = flag.String("mode", "keep", "keep (connections), new (connections), events")
	clients  = flag.Int("clients", 32, "at once")
	duration = flag.Duration("duration", 3*time.Second, "how long")
	block    = flag.String("block", "", "file that the body must consist of, over and over")
	size     = flag.Int64("size", 0, "bytes that the body must have; of events: how many there must be")
)

type result struct {
	Requests int     `json:"requests"`
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"`
	P50      float64 `json:"p50"`
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

type client struct {
	where   *url.URL
	pool    *x509.CertPool
	request []byte
	block   []byte
	conn    net.Conn
	reader  *bufio.Reader
}

func newClient(pool *x509.CertPool, where *url.URL, block []byte) *client {
	end := ""
	if *mode == "new" {
		end = "Connection: close\r\n"
	}
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", where.Path, where.Host, end)
	return &client{where: where, pool: pool, request: []byte(request), block: block}
}

func (c *client) open() {
	address := c.where.Host
	if *proxy != "" {
		address = *proxy
	}
	raw, err := net.Dial("tcp", address)
	check(err)
	if *proxy != "" {
		_, err = fmt.Fprintf(raw, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", c.where.Host, c.where.Host)
		check(err)
		// Nothing of the server is lost in this reader: with TLS it is the client that begins.
		answer, err := http.ReadResponse(bufio.NewReader(raw), &http.Request{Method: "CONNECT"})
		check(err)
		if answer.StatusCode != 200 {
			log.Fatalf("CONNECT: %s", answer.Status)
		}
	}
	c.conn = tls.Client(raw, &tls.Config{RootCAs: c.pool, ServerName: c.where.Hostname()})
	c.reader = bufio.NewReaderSize(c.conn, 64<<10)
}

func (c *client) send() {
	_, err := c.conn.Write(c.request)
	check(err)
}

func (c *client) ask() time.Duration {
	begun := time.Now()
	if c.conn == nil {
		c.open()
	}
	c.send()
	if length := c.head(); length != *size {
		log.Fatalf("a body of %d bytes, not %d", length, *size)
	}
	c.body(*size)
	if *mode == "new" {
		check(c.conn.Close())
		c.conn = nil
	}
	return time.Since(begun)
}

// Returns the length of the body that follows.
func (c *client) head() int64 {
	length := int64(-1)
	for first := true; ; first = false {
		line, err := c.reader.ReadSlice('\n')
		check(err)
		line = bytes.TrimRight(line, "\r\n")
		if first && !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
			log.Fatalf("answered %q", line)
		}
		if len(line) == 0 {
			return length
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(name, []byte("content-length")) {
			length, err = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
			check(err)
		}
	}
}

func (c *client) body(length int64) {
	expected := c.block
	for length > 0 {
		if c.reader.Buffered() == 0 {
			_, err := c.reader.Peek(1)
			check(err)
		}
		got := int(min(length, int64(c.reader.Buffered()), int64(len(expected))))
		data, err := c.reader.Peek(got)
		check(err)
		if !bytes.Equal(data, expected[:got]) {
			log.Fatal("another body than the server's")
		}
		_, err = c.reader.Discard(got)
		check(err)
		length -= int64(got)
		if expected = expected[got:]; len(expected) == 0 {
			expected = c.block
		}
	}
}

// Each event contains its number and the time at which it was sent, in nanoseconds.
func (c *client) events() []time.Duration {
	c.open()
	c.send()
	response, err := http.ReadResponse(c.reader, nil)
	check(err)
	if response.StatusCode != 200 {
		log.Fatalf("answered %s", response.Status)
	}
	var delays []time.Duration
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if sent, found := strings.CutPrefix(lines.Text(), "data: "); found {
			var number, nanoseconds int64
			_, err := fmt.Sscan(sent, &number, &nanoseconds)
			check(err)
			if number != int64(len(delays)) {
				log.Fatalf("event %d where %d was due", number, len(delays))
			}
			delays = append(delays, time.Duration(time.Now().UnixNano()-nanoseconds))
		}
	}
	check(lines.Err())
	if int64(len(delays)) != *size {
		log.Fatalf("%d events, not %d", len(delays), *size)
	}
	return delays
}

func (c *client) run(end time.Time) []time.Duration {
	if *mode == "events" {
		return c.events()
	}
	var times []time.Duration
	for time.Now().Before(end) {
		times = append(times, c.ask())
	}
	return times
}

func main() {
	flag.Parse()
	log.SetFlags(0)
	pem, err := os.ReadFile(*roots)
	check(err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		log.Fatal("no roots")
	}
	where, err := url.Parse(*target)
	check(err)
	var pattern []byte
	if *block != "" {
		pattern, err = os.ReadFile(*block)
		check(err)
	}
	var mutex sync.Mutex
	var group sync.WaitGroup
	var times []time.Duration
	begun := time.Now()
	end := begun.Add(*duration)
	for range *clients {
		group.Add(1)
		go func() {
			defer group.Done()
			own := newClient(pool, where, pattern).run(end)
			mutex.Lock()
			defer mutex.Unlock()
			times = append(times, own...)
		}()
	}
	group.Wait()
	seconds := time.Since(begun).Seconds()
	if len(times) == 0 {
		log.Fatal("nothing was measured")
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	moved := int64(len(times)) * *size
	text, err := json.Marshal(result{len(times), moved, seconds, times[len(times)/2].Seconds()})
	check(err)
	fmt.Println(string(text))
}
