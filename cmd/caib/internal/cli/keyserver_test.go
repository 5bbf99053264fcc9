package cli

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/common"

	"github.com/oci-catalog/caib/pkg/trust"
)

// cmdKeyServer is `keyserver NAME`: a web server at https://$NAME that has the
// files of the work directory; its certificate authority is $WORK/NAME.pem.
// /silent never answers, /long is long, and /plain redirects to plain HTTP.
func cmdKeyServer(ts *testscript.TestScript, _ bool, args []string) {
	name := one(ts, args)
	ended := make(chan struct{})
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServer(http.Dir(ts.Getenv("WORK"))))
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-ended:
		}
	})
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 1<<20))
	})
	mux.HandleFunc("/plain", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+"/team.pub", http.StatusFound)
	})
	f := &fake{}
	f.start(mux, true)
	f.enter(ts, name)
	ts.Defer(func() { close(ended) })
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.server.Certificate().Raw})
	ts.Check(os.WriteFile(ts.MkAbs(name+".pem"), text, 0o666))
}

// kmsPlugin is the program sigstore-kms-test: its keys are files, test://FILE.
func kmsPlugin() {
	var call common.PluginArgs
	answer, err := new(common.PluginResp), json.Unmarshal([]byte(os.Args[2]), &call)
	if err == nil {
		err = callPlugin(&call, answer)
	}
	if err != nil {
		answer = &common.PluginResp{ErrorMessage: err.Error()}
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func callPlugin(call *common.PluginArgs, answer *common.PluginResp) error {
	text, err := os.ReadFile(call.InitOptions.KeyResourceID)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return err
	}
	key := parsed.(*ecdsa.PrivateKey)
	signer, err := trust.NewSigner(key)
	if err != nil {
		return err
	}
	if call.MethodName == common.PublicKeyMethodName {
		answer.PublicKey = &common.PublicKeyResp{PublicKeyPEM: signer.PublicKey().PEM()}
		return nil
	}
	message, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(message)
	signature, err := ecdsa.SignASN1(rand.Reader, key, sum[:])
	answer.SignMessage = &common.SignMessageResp{Signature: signature}
	return err
}
