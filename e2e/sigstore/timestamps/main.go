// Command timestamps is sigstore's timestamp authority on a free port of the
// loopback interface. The project's own command does the same, and also opens
// port 2112 on all interfaces, so that only one of it runs on a machine.
//
//	timestamps KEY CHAIN
//
// KEY and CHAIN are PEM files: the private key, and the certificates from its
// own to the root. It says where it listens, and serves until it is ended.
package main

import (
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/sigstore/timestamp-authority/v2/pkg/server"
	"github.com/spf13/viper"
)

// limit bounds one request.
const limit = 30 * time.Second

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: timestamps KEY CHAIN")
	}
	for name, value := range map[string]any{
		"timestamp-signer":         "file",
		"timestamp-signer-hash":    "sha256",
		"file-signer-key-path":     os.Args[1],
		"certificate-chain-path":   os.Args[2],
		"enforce-intermediate-eku": true,
		"default-policy-oid":       "1.3.6.1.4.1.57264.2",
		"accepted-policy-oids":     []string{"1.3.6.1.4.1.57264.2"},
		"max-request-body-size":    1 << 20,
	} {
		viper.Set(name, value)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	host, port := "127.0.0.1", listener.Addr().(*net.TCPAddr).Port
	service := server.NewRestAPIServer(host, port, []string{"http"}, false, limit, limit)
	fmt.Println("listening on", listener.Addr())
	log.Fatal((&http.Server{Handler: service.GetHandler(), ReadTimeout: limit, WriteTimeout: limit}).Serve(listener))
}
