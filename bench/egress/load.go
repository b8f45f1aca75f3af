// The clients of the egress benchmark. Every response is verified: the chain up to the given root, the
// host name, status and body. Prints one JSON object.
package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
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
	proxy    = flag.String("proxy", "", "URL of the proxy; none: directly")
	roots    = flag.String("roots", "", "PEM file of the roots")
	target   = flag.String("url", "", "what to ask for")
	mode     = flag.String("mode", "keep", "keep (connections), new (connections), bulk, events")
	clients  = flag.Int("clients", 32, "at once")
	duration = flag.Duration("duration", 3*time.Second, "how long")
	size     = flag.Int64("size", 0, "bytes that the body must have")
)

type result struct {
	Requests int     `json:"requests"`
	Bytes    int64   `json:"bytes"`
	Seconds  float64 `json:"seconds"`
	P50      float64 `json:"p50"`
	P99      float64 `json:"p99"`
}

func client(pool *x509.CertPool) *http.Client {
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool},
		MaxIdleConnsPerHost: 1,
		DisableKeepAlives:   *mode == "new",
		DisableCompression:  true,
	}
	if *proxy != "" {
		where, err := url.Parse(*proxy)
		check(err)
		transport.Proxy = http.ProxyURL(where)
	}
	return &http.Client{Transport: transport}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func ask(c *http.Client) (int64, time.Duration) {
	begun := time.Now()
	response, err := c.Get(*target)
	check(err)
	defer response.Body.Close()
	length, err := io.Copy(io.Discard, response.Body)
	check(err)
	if response.StatusCode != 200 || length != *size {
		log.Fatalf("status %d, %d bytes", response.StatusCode, length)
	}
	return length, time.Since(begun)
}

// Each event holds the time at which it was sent, in nanoseconds.
func events(c *http.Client) []time.Duration {
	response, err := c.Get(*target)
	check(err)
	defer response.Body.Close()
	var delays []time.Duration
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if sent, found := strings.CutPrefix(lines.Text(), "data: "); found {
			nanoseconds, err := strconv.ParseInt(sent, 10, 64)
			check(err)
			delays = append(delays, time.Duration(time.Now().UnixNano()-nanoseconds))
		}
	}
	return delays
}

func main() {
	flag.Parse()
	pem, err := os.ReadFile(*roots)
	check(err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		log.Fatal("no roots")
	}
	var mutex sync.Mutex
	var group sync.WaitGroup
	var times []time.Duration
	var bytes int64
	begun := time.Now()
	end := begun.Add(*duration)
	for range *clients {
		group.Add(1)
		go func() {
			defer group.Done()
			c := client(pool)
			var own []time.Duration
			var got int64
			if *mode == "events" {
				own = events(c)
			}
			for *mode != "events" && time.Now().Before(end) {
				length, took := ask(c)
				got += length
				own = append(own, took)
			}
			mutex.Lock()
			defer mutex.Unlock()
			times = append(times, own...)
			bytes += got
		}()
	}
	group.Wait()
	seconds := time.Since(begun).Seconds()
	if len(times) == 0 {
		log.Fatal("nothing was measured")
	}
	sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
	at := func(share int) float64 { return times[len(times)*share/100].Seconds() }
	text, err := json.Marshal(result{len(times), bytes, seconds, at(50), at(99)})
	check(err)
	fmt.Println(string(text))
}
