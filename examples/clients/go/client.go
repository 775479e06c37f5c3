// Command client mints and verifies a hash with Countersign, seals a payload and opens it, and shows how a refusal
// reads.
//
//	buf generate ../../../proto    # buf: https://buf.build/docs/cli
//	COUNTERSIGN_ADDRESS=unix:/run/countersign/countersign.sock go run .
//
// For https://HOST:PORT, COUNTERSIGN_TLS_CERT and COUNTERSIGN_TLS_KEY name the client's certificate and key, and
// COUNTERSIGN_TLS_CA the authority that the service's certificate must lead to: files in PEM.
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"os"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	countersign "example.com/countersign-client/gen/countersign/v1"
)

const (
	// deadline is how long one call may take, with the retries that gRPC makes of it.
	deadline = 5 * time.Second
	// patience is how long one call may take in all, with the waits that a rate limit asks for.
	patience = 20 * time.Second
)

// Every RPC may be repeated: at worst, a hash or a token too many was made. There is no "timeout" here on purpose:
// it would cut longer deadlines of calls short, and clients on gRPC's C core take up to a second off it.
const serviceConfig = `{
  "methodConfig": [{
    "name": [{"service": "countersign.v1.LiveAuthService"}, {"service": "countersign.v1.HubTokenService"}],
    "retryPolicy": {
      "maxAttempts": 4,
      "initialBackoff": "0.1s",
      "maxBackoff": "1s",
      "backoffMultiplier": 2,
      "retryableStatusCodes": ["UNAVAILABLE"]
    }
  }]
}`

// connect gives one connection for the whole process and all its goroutines: make it once, and keep it.
func connect() (*grpc.ClientConn, error) {
	address := cmp.Or(os.Getenv("COUNTERSIGN_ADDRESS"), "unix:/run/countersign/countersign.sock")
	retries := grpc.WithDefaultServiceConfig(serviceConfig)
	if strings.HasPrefix(address, "unix:") {
		return grpc.NewClient(address, retries, grpc.WithTransportCredentials(insecure.NewCredentials()))
	}
	authority, err := os.ReadFile(os.Getenv("COUNTERSIGN_TLS_CA"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("COUNTERSIGN_TLS_CA holds no certificate")
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS13,
		RootCAs:    roots,
		// Read for each new connection, so that a renewed certificate is taken up without a restart.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			pair, err := tls.LoadX509KeyPair(os.Getenv("COUNTERSIGN_TLS_CERT"), os.Getenv("COUNTERSIGN_TLS_KEY"))
			return &pair, err
		},
	}
	target := strings.TrimPrefix(address, "https://")
	return grpc.NewClient(target, retries, grpc.WithTransportCredentials(credentials.NewTLS(config)))
}

// refusal is what an error says in its details.
type refusal struct {
	code   codes.Code
	reason string
	fields []string
	// wait is after how long to try again, if retry is true.
	wait  time.Duration
	retry bool
}

func details(err error) refusal {
	said := status.Convert(err)
	found := refusal{code: said.Code()}
	for _, detail := range said.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			found.reason = detail.GetReason()
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				found.fields = append(found.fields, violation.GetField())
			}
		case *errdetails.RetryInfo:
			found.wait, found.retry = detail.GetRetryDelay().AsDuration(), true
		}
	}
	return found
}

// patiently calls, and where the caller is over its rate, waits for as long as the service asks and calls again.
func patiently[Q, A any](ctx context.Context, method func(context.Context, *Q, ...grpc.CallOption) (*A, error), request *Q) (*A, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		attempt, cancel := context.WithTimeout(ctx, deadline)
		answer, err := method(attempt, request)
		cancel()
		found := details(err)
		if found.code != codes.ResourceExhausted || !found.retry {
			return answer, err
		}
		select {
		case <-time.After(found.wait):
		case <-ctx.Done():
			return nil, err
		}
	}
}

func run(ctx context.Context) error {
	connection, err := connect()
	if err != nil {
		return err
	}
	defer connection.Close()

	// Waits for the service where it is not there yet: for the start of a program, not for its calls later on.
	start, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	service := &grpc_health_v1.HealthCheckRequest{Service: "countersign.v1.LiveAuthService"}
	serving, err := grpc_health_v1.NewHealthClient(connection).Check(start, service, grpc.WaitForReady(true))
	if err != nil {
		return err
	}
	fmt.Println("health:", serving.GetStatus())

	liveauth := countersign.NewLiveAuthServiceClient(connection)
	mint := &countersign.MintHashRequest{Domain: "jobs.example.com", Client: 42, Validity: &countersign.MintHashRequest_Ttl{Ttl: 60}}
	minted, err := patiently(ctx, liveauth.MintHash, mint)
	if err != nil {
		return err
	}
	fmt.Println("minted:", minted.GetQuery())

	// What an end user presents goes to the service as it came, as text.
	verified, err := patiently(ctx, liveauth.VerifyHash, &countersign.VerifyHashRequest{
		Origin:  &countersign.VerifyHashRequest_Domain{Domain: "jobs.example.com"},
		Client:  "42",
		Expires: strconv.FormatInt(minted.GetExpires(), 10),
		Hash:    minted.GetHash(),
	})
	if err != nil {
		return err
	}
	fmt.Println("verified:", verified.GetVerdict())

	hub := countersign.NewHubTokenServiceClient(connection)
	sealed, err := patiently(ctx, hub.Seal, &countersign.SealRequest{
		App:      "acme-contacts",
		Username: new("jane@example.com"),
		Payload:  []byte("an OAuth token"),
		Ttl:      new(int64(3600)),
	})
	if err != nil {
		return err
	}

	// A verdict is an answer, not an error: a token of another user's is WRONG_CONTEXT, with status OK.
	for _, username := range []string{"jane@example.com", "john@example.com"} {
		opened, err := patiently(ctx, hub.Open, &countersign.OpenRequest{
			App:      "acme-contacts",
			Auth:     sealed.GetAuth(),
			Username: &username,
		})
		if err != nil {
			return err
		}
		if opened.GetVerdict() == countersign.Verdict_VERDICT_VALID {
			fmt.Printf("opened for %s: %d bytes\n", username, len(opened.GetPayload()))
		} else {
			fmt.Printf("not opened for %s: %s\n", username, opened.GetVerdict())
		}
	}

	// An error is the caller's fault or the service's: here, the caller asks for more than it may.
	mint.Validity = &countersign.MintHashRequest_Ttl{Ttl: 1_000_000}
	if _, err = patiently(ctx, liveauth.MintHash, mint); err != nil {
		found := details(err)
		fmt.Printf("refused: %s, %s, %s\n", found.code, found.reason, strings.Join(found.fields, ", "))
	}
	return nil
}

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}
