// A KMS v2 plugin for tests, on the package that real plugins are built on. It holds a key for each key id, made from a
// seed on disk, so that it opens after a restart what it sealed before. What it does wrongly, and how slowly, it reads
// from a file before each answer.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"flag"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/kms/pkg/service"
)

const annotation = "seal.kms.example.com"

type plugin struct {
	seed    []byte
	control string
	journal string
	mutex   sync.Mutex
}

// The settings of the control file, `name=value` on a line each.
func (p *plugin) settings() map[string]string {
	settings := map[string]string{"healthz": "ok", "version": "v2", "key_id": "key-1"}
	file, err := os.Open(p.control)
	if err != nil {
		return settings
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, found := strings.Cut(lines.Text(), "="); found {
			settings[name] = value
		}
	}
	return settings
}

// Takes a request: notes it, waits, and fails where it shall.
func (p *plugin) begin(ctx context.Context, operation, uid string) (map[string]string, error) {
	settings := p.settings()
	p.mutex.Lock()
	file, err := os.OpenFile(p.journal, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		fmt.Fprintf(file, "%s %s\n", operation, uid)
		file.Close()
	}
	p.mutex.Unlock()
	if latency, err := time.ParseDuration(settings["latency"]); err == nil {
		select {
		case <-time.After(latency):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if code, err := strconv.Atoi(settings["error"]); err == nil {
		return nil, status.Error(codes.Code(code), "as it was told to\nby its test")
	}
	return settings, nil
}

func (p *plugin) aead(keyID string) (cipher.AEAD, error) {
	key := sha256.Sum256(append(append([]byte{}, p.seed...), keyID...))
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func (p *plugin) Status(ctx context.Context) (*service.StatusResponse, error) {
	settings, err := p.begin(ctx, "status", "-")
	if err != nil {
		return nil, err
	}
	return &service.StatusResponse{
		Version: settings["version"], Healthz: settings["healthz"], KeyID: settings["key_id"],
	}, nil
}

func (p *plugin) Encrypt(ctx context.Context, uid string, data []byte) (*service.EncryptResponse, error) {
	settings, err := p.begin(ctx, "encrypt", uid)
	if err != nil {
		return nil, err
	}
	keyID := settings["key_id"]
	if other, found := settings["encrypt_key_id"]; found {
		keyID = other
	}
	aead, err := p.aead(keyID)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	mark := make([]byte, 16)
	rand.Read(nonce)
	rand.Read(mark)
	answer := &service.EncryptResponse{
		// What was given is bound to the annotation: an answer that loses it opens nothing.
		Ciphertext:  aead.Seal(nonce, nonce, data, mark),
		KeyID:       keyID,
		Annotations: map[string][]byte{annotation: mark},
	}
	switch settings["answer"] {
	case "empty":
		answer.Ciphertext = nil
	case "long":
		answer.Ciphertext = bytes.Repeat([]byte{1}, 1025)
	case "nameless":
		answer.KeyID = ""
	case "misnamed":
		answer.Annotations["plain"] = nil
	case "large":
		answer.Annotations[annotation] = bytes.Repeat([]byte{1}, 33<<10)
	}
	return answer, nil
}

func (p *plugin) Decrypt(ctx context.Context, uid string, req *service.DecryptRequest) ([]byte, error) {
	settings, err := p.begin(ctx, "decrypt", uid)
	if err != nil {
		return nil, err
	}
	aead, err := p.aead(req.KeyID)
	if err != nil {
		return nil, err
	}
	if len(req.Ciphertext) < aead.NonceSize() {
		return nil, status.Error(codes.InvalidArgument, "too short")
	}
	nonce, sealed := req.Ciphertext[:aead.NonceSize()], req.Ciphertext[aead.NonceSize():]
	opened, err := aead.Open(nil, nonce, sealed, req.Annotations[annotation])
	if err != nil {
		return nil, status.Error(codes.InvalidArgument, "not sealed by this plugin with that key")
	}
	// For a test that looks where else it lies.
	os.WriteFile(p.journal+".opened", opened, 0o600)
	if settings["answer"] == "other" {
		rand.Read(opened)
	}
	if settings["answer"] == "short" {
		opened = opened[1:]
	}
	return opened, nil
}

func main() {
	socket := flag.String("socket", "", "where to listen")
	seed := flag.String("seed", "", "file that keys are made from, drawn if it is not there")
	control := flag.String("control", "", "file that says what to do wrongly")
	journal := flag.String("journal", "", "file that every request is noted in")
	flag.Parse()
	drawn, err := os.ReadFile(*seed)
	if err != nil {
		drawn = make([]byte, 32)
		rand.Read(drawn)
		if err := os.WriteFile(*seed, drawn, 0o600); err != nil {
			log.Fatal(err)
		}
	}
	os.Remove(*socket)
	served := service.NewGRPCService(*socket, 5*time.Second, &plugin{seed: drawn, control: *control, journal: *journal})
	log.Fatal(served.ListenAndServe())
}
