// Copyimage copies one image with all that belongs to it from one repository or layout
// to another, as this module copies those of a catalog, for tests that compare what
// arrives with what other programs make of it.
//
//	copyimage [-catalog NAME] [-refresh] FROM@DIGEST TO
//
// It prints the result as JSON, with the requests that it made, by method, and the bytes
// of their bodies. It uses packages that only this module may import, so tests of other
// modules build it and run it as a process.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"

	"github.com/oci-catalog/caib/pkg/internal/imagecopy"
	"github.com/oci-catalog/caib/pkg/registry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	options := imagecopy.Options{}
	flag.StringVar(&options.Catalog, "catalog", "registry.example.com/catalog", "the `name` of the catalog that the image is kept for")
	flag.BoolVar(&options.Refresh, "refresh", false, "look for what was attached later")
	flag.Parse()
	if err := run(ctx, options, flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, "copyimage:", err)
		os.Exit(1)
	}
}

// counts are the requests that were made.
type counts struct {
	mu       sync.Mutex
	Requests map[string]int // by method, and by MOUNT
	Sent     int64          // bytes of blobs, as far as requests announce them
}

// RoundTrip implements http.RoundTripper.
func (c *counts) RoundTrip(request *http.Request) (*http.Response, error) {
	c.mu.Lock()
	method := request.Method
	if request.URL.Query().Get("mount") != "" {
		method = "MOUNT"
	}
	c.Requests[method]++
	if strings.Contains(request.URL.Path, "/blobs/") {
		c.Sent += request.ContentLength
	}
	c.mu.Unlock()
	return http.DefaultTransport.RoundTrip(request)
}

func run(ctx context.Context, options imagecopy.Options, from, to string) error {
	counted := &counts{Requests: map[string]int{}}
	client, err := registry.New(registry.Options{Transport: counted, Getenv: os.Getenv})
	if err != nil {
		return err
	}
	image, err := registry.ParseReference(from)
	if err != nil {
		return err
	}
	place, err := registry.ParseReference(to)
	if err != nil {
		return err
	}
	source, err := client.Open(image)
	if err != nil {
		return err
	}
	destination, err := client.Open(place)
	if err != nil {
		return err
	}
	result, err := imagecopy.New(options).Copy(ctx, source, destination, image.Digest)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{"result": result, "requests": counted.Requests, "sent": counted.Sent})
}
