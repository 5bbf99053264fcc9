// Imagesign signs images and checks their signatures by this module's own means,
// for tests that compare those with what others say.
//
//	imagesign sign -key FILE [-format FORMAT] [-digest DIGEST] IMAGE
//	imagesign check -key FILE... IMAGE
//	imagesign check -root FILE -subject NAME -issuer URL -digest DIGEST BUNDLE...
//
// Sign writes a signature to an image, of that image or of another digest, and
// prints it. Check prints, for each key, what the image's signatures by it are
// worth, or for each file with a bundle what that is worth by an identity: lines
// of JSON with the verdict and its reason.
//
// It uses packages that only this module may import, so tests of other modules
// build it and run it as a process. A key's password is in COSIGN_PASSWORD.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/oci-catalog/caib/pkg/internal/signature"
	"github.com/oci-catalog/caib/pkg/registry"
	"github.com/oci-catalog/caib/pkg/trust"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := errors.New("want sign or check")
	if len(os.Args) > 1 {
		switch verb, args := os.Args[1], os.Args[2:]; verb {
		case "sign":
			err = runSign(ctx, args)
		case "check":
			err = runCheck(ctx, args)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "imagesign:", err)
		os.Exit(1)
	}
}

// list is a flag that is given several times.
type list []string

func (l *list) String() string { return fmt.Sprint(*l) }

func (l *list) Set(text string) error {
	*l = append(*l, text)
	return nil
}

func runSign(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("sign", flag.ContinueOnError)
	key := flags.String("key", "", "private key")
	format := flags.String("format", string(trust.Bundle), "bundle or legacy")
	other := flags.String("digest", "", "sign this digest, not the image's")
	if err := flags.Parse(args); err != nil {
		return err
	}
	signer, err := trust.LoadSigner(ctx, trust.SignerOptions{LoadOptions: trust.LoadOptions{Getenv: os.Getenv}, Key: *key})
	if err != nil {
		return err
	}
	repository, ref, err := open(flags.Arg(0))
	if err != nil {
		return err
	}
	image, err := repository.Resolve(ctx, ref.Target())
	if err != nil {
		return err
	}
	signed := image.Digest
	if *other != "" {
		signed = digest.Digest(*other)
	}
	made, err := signer.Sign(ctx, trust.Format(*format), signed, ref.Base())
	if err != nil {
		return err
	}
	if err := signature.Write(ctx, repository, image, made, time.Now()); err != nil {
		return err
	}
	fmt.Println(string(made.JSON()))
	return nil
}

func runCheck(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("check", flag.ContinueOnError)
	var keys list
	flags.Var(&keys, "key", "public key; may be given several times")
	root := flags.String("root", "", "trusted root")
	subject := flags.String("subject", "", "who signs")
	issuer := flags.String("issuer", "", "who says so")
	signed := flags.String("digest", "", "what is signed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *root != "" {
		return checkBundles(ctx, *root, &trust.Identity{Subject: *subject, Issuer: *issuer}, digest.Digest(*signed), flags.Args())
	}
	return checkImage(ctx, flags.Arg(0), keys)
}

// checkImage prints a line for each public key.
func checkImage(ctx context.Context, image string, keys []string) error {
	repository, ref, err := open(image)
	if err != nil {
		return err
	}
	d, err := repository.Resolve(ctx, ref.Target())
	if err != nil {
		return err
	}
	evidence := signature.Find(ctx, repository, d.Digest)
	for _, file := range keys {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		parsed, err := trust.ParsePublicKeys(file, text)
		if err != nil {
			return err
		}
		policy, err := trust.NewPolicy(nil, nil, &trust.Rule{Keys: parsed})
		if err != nil {
			return err
		}
		if err := print(policy.For("", "").Check(trust.SubjectImage, d.Digest, evidence)); err != nil {
			return err
		}
	}
	return nil
}

// checkBundles prints a line for each file with a bundle.
func checkBundles(ctx context.Context, root string, who *trust.Identity, d digest.Digest, files []string) error {
	parsed, err := trust.LoadRoot(ctx, root, trust.LoadOptions{})
	if err != nil {
		return err
	}
	policy, err := trust.NewPolicy(parsed, nil, &trust.Rule{Identities: []trust.Identity{*who}})
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		made, ok := signature.Parse(text)
		if !ok {
			return fmt.Errorf("%s is no bundle", file)
		}
		if err := print(policy.For("", "").Check(trust.SubjectEntry, d, signature.Evidence{Signatures: []signature.Signature{made}})); err != nil {
			return err
		}
	}
	return nil
}

func print(check trust.Check) error {
	return json.NewEncoder(os.Stdout).Encode(map[string]string{"verdict": string(check.Result), "reason": check.Reason})
}

func open(image string) (registry.Repository, registry.Reference, error) {
	ref, err := registry.ParseReference(image)
	if err != nil {
		return nil, registry.Reference{}, err
	}
	client, err := registry.New(registry.Options{})
	if err != nil {
		return nil, registry.Reference{}, err
	}
	repository, err := client.Open(ref)
	return repository, ref, err
}
