// Command client does every RPC on hashes and tokens by way of grpc-go. run.sh beside it generates the package it imports and builds it.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"reflect"
	"sort"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	pb "github.com/countersign/countersign-go/v1"
)

const (
	domain       = "jobs.example.com"
	nowhere      = "nobody.example.org"
	app          = "acme-contacts"
	user         = "jodonnell@broadsoft.com"
	otherUser    = "somebody.else@broadsoft.com"
	payload      = "ya29.an-oauth-token \x00\xff"
	documentHash = "6b1a62617de259688c021c6d98efaca588c772f9ee8ea3092fb3d5323e66ba29"
)

// run is one pass over one target. A step that goes wrong ends the program with its name.
type run struct {
	target string
	name   string
	steps  int
	ctx    context.Context
}

func (r *run) step(name string) {
	r.steps++
	r.name = name
}

func (r *run) failed(format string, args ...any) {
	fmt.Printf("grpc-go %s: FAILED at step %d, %s: %s\n", r.target, r.steps, r.name, fmt.Sprintf(format, args...))
	os.Exit(1)
}

func (r *run) equal(what string, got, want any) {
	if !reflect.DeepEqual(got, want) {
		r.failed("%s: want %v, got %v", what, want, got)
	}
}

// rpc is what grpc-go generates for every unary RPC.
type rpc[Q, A any] func(context.Context, *Q, ...grpc.CallOption) (*A, error)

func answered[Q, A any](r *run, name string, method rpc[Q, A], request *Q) *A {
	r.step(name)
	answer, err := method(r.ctx, request)
	if err != nil {
		r.failed("%v", err)
	}
	return answer
}

func judged[Q, A any](r *run, name string, want pb.Verdict, method rpc[Q, A], request *Q) *A {
	answer := answered(r, name, method, request)
	r.equal("verdict", any(answer).(interface{ GetVerdict() pb.Verdict }).GetVerdict(), want)
	return answer
}

// refused wants an error with this code, this ErrorInfo reason, and a first violation of this field.
func refused[Q, A any](r *run, name string, code codes.Code, reason, field string, method rpc[Q, A], request *Q) {
	r.step(name)
	_, err := method(r.ctx, request)
	got := status.Convert(err)
	if got.Code() != code {
		r.failed("want %v, got %v: %s", code, got.Code(), got.Message())
	}
	var gotReason, gotField string
	for _, detail := range got.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			gotReason = detail.GetReason()
		case *errdetails.BadRequest:
			gotField = detail.GetFieldViolations()[0].GetField()
		}
	}
	r.equal("reason", gotReason, reason)
	r.equal("field", gotField, field)
}

func ownHash(client, expires int64) string {
	mac := hmac.New(sha256.New, []byte("whatissixtimesnine"))
	fmt.Fprintf(mac, "%d-%d", client, expires)
	return hex.EncodeToString(mac.Sum(nil))
}

func tampered(token string) string {
	at := len(token) / 2
	other := "B"
	if token[at] == 'B' {
		other = "C"
	}
	return token[:at] + other + token[at+1:]
}

func mint(domain string, client, ttl int64) *pb.MintHashRequest {
	return &pb.MintHashRequest{Domain: domain, Client: client, Validity: &pb.MintHashRequest_Ttl{Ttl: ttl}}
}

func verify(domain, expires, hash string) *pb.VerifyHashRequest {
	origin := &pb.VerifyHashRequest_Domain{Domain: domain}
	return &pb.VerifyHashRequest{Origin: origin, Client: "42", Expires: expires, Hash: hash}
}

func seal(app, user string) *pb.SealRequest {
	return &pb.SealRequest{App: app, Username: &user, Payload: []byte(payload), Ttl: proto.Int64(3600)}
}

func open(app, user, auth string) *pb.OpenRequest {
	return &pb.OpenRequest{App: app, Username: &user, Auth: auth}
}

func verifyToken(app, user, auth string) *pb.VerifyRequest {
	return &pb.VerifyRequest{App: app, Username: &user, Auth: auth}
}

func reseal(app, user, auth string) *pb.ResealRequest {
	return &pb.ResealRequest{App: app, Username: &user, Auth: auth}
}

// What is served to callers; KeyService has listeners of its own.
var services = []string{
	"countersign.v1.HubLoginService",
	"countersign.v1.HubTokenService",
	"countersign.v1.LiveAuthPortalService",
	"countersign.v1.LiveAuthService",
}

func (r *run) health(connection *grpc.ClientConn) {
	client := healthpb.NewHealthClient(connection)
	for _, service := range append([]string{""}, services...) {
		answer := answered(r, "health of '"+service+"'", client.Check, &healthpb.HealthCheckRequest{Service: service})
		r.equal("status", answer.GetStatus(), healthpb.HealthCheckResponse_SERVING)
	}
	stranger := &healthpb.HealthCheckRequest{Service: "nobody"}
	refused(r, "health of a stranger", codes.NotFound, "UNKNOWN_SERVICE", "", client.Check, stranger)
}

func (r *run) reflection(connection *grpc.ClientConn) {
	r.step("reflection lists the services")
	stream, err := reflectionpb.NewServerReflectionClient(connection).ServerReflectionInfo(r.ctx)
	if err != nil {
		r.failed("%v", err)
	}
	list := &reflectionpb.ServerReflectionRequest_ListServices{}
	if err := stream.Send(&reflectionpb.ServerReflectionRequest{MessageRequest: list}); err != nil {
		r.failed("%v", err)
	}
	answer, err := stream.Recv()
	if err != nil {
		r.failed("%v", err)
	}
	ours := []string{}
	for _, service := range answer.GetListServicesResponse().GetService() {
		if strings.HasPrefix(service.GetName(), "countersign.v1.") {
			ours = append(ours, service.GetName())
		}
	}
	sort.Strings(ours)
	r.equal("our services", strings.Join(ours, " "), strings.Join(services, " "))
	if err := stream.CloseSend(); err != nil {
		r.failed("%v", err)
	}
}

func (r *run) liveauth(client pb.LiveAuthServiceClient) {
	minted := answered(r, "mint for client 42", client.MintHash, mint(domain, 42, 60))
	r.equal("hash, computed here", minted.GetHash(), ownHash(42, minted.GetExpires()))
	expires := fmt.Sprint(minted.GetExpires())
	r.equal("query", minted.GetQuery(), "client=42&expires="+expires+"&hash="+minted.GetHash())
	judged(r, "verify it", pb.Verdict_VERDICT_VALID, client.VerifyHash, verify(domain, expires, minted.GetHash()))
	byReferer := verify("", expires, minted.GetHash())
	byReferer.Origin = &pb.VerifyHashRequest_Referer{Referer: minted.GetReferer()}
	judged(r, "by its Referer", pb.Verdict_VERDICT_VALID, client.VerifyHash, byReferer)
	byReferer.Origin = &pb.VerifyHashRequest_Referer{Referer: "https://" + nowhere + "/"}
	judged(r, "by an unknown Referer", pb.Verdict_VERDICT_UNKNOWN_KEY, client.VerifyHash, byReferer)
	document := verify(domain, "989539200", documentHash)
	judged(r, "the document's hash", pb.Verdict_VERDICT_EXPIRED, client.VerifyHash, document)
	misprint := verify(domain, "1580608922", documentHash)
	judged(r, "the document's misprint", pb.Verdict_VERDICT_BAD_SIGNATURE, client.VerifyHash, misprint)
	short := verify(domain, "989539200", documentHash[:32])
	judged(r, "a hash of 32 digits", pb.Verdict_VERDICT_MALFORMED, client.VerifyHash, short)

	unknown := verify(nowhere, "989539200", documentHash)
	refused(r, "an unknown domain", codes.NotFound, "UNKNOWN_DOMAIN", "", client.MintHash, mint(nowhere, 42, 60))
	refused(r, "to verify for one", codes.NotFound, "UNKNOWN_DOMAIN", "", client.VerifyHash, unknown)
	long := mint(domain, 42, 999999)
	refused(r, "a ttl of 999999", codes.InvalidArgument, "TTL_TOO_LONG", "ttl", client.MintHash, long)
	refused(r, "client 0", codes.InvalidArgument, "INVALID_FIELD", "client", client.MintHash, mint(domain, 0, 60))

	mints := &pb.BatchMintHashRequest{Items: []*pb.MintHashRequest{mint(domain, 42, 60), long, mint(domain, 43, 60)}}
	hashes := answered(r, "mint three, the second one bad", client.BatchMintHash, mints).GetResults()
	order := []int64{hashes[0].GetResponse().GetClient(), hashes[2].GetResponse().GetClient()}
	r.equal("clients in order", order, []int64{42, 43})
	r.itemError(hashes[1].GetError(), codes.InvalidArgument, "TTL_TOO_LONG")
	checks := &pb.BatchVerifyHashRequest{Items: []*pb.VerifyHashRequest{document, unknown, short}}
	verified := answered(r, "verify three, the second one bad", client.BatchVerifyHash, checks).GetResults()
	verdicts := []pb.Verdict{verified[0].GetResponse().GetVerdict(), verified[2].GetResponse().GetVerdict()}
	r.equal("verdicts in order", verdicts, []pb.Verdict{pb.Verdict_VERDICT_EXPIRED, pb.Verdict_VERDICT_MALFORMED})
	r.itemError(verified[1].GetError(), codes.NotFound, "UNKNOWN_DOMAIN")
	for _, count := range []int{0, 1001} {
		mints := &pb.BatchMintHashRequest{Items: many[pb.MintHashRequest](count)}
		checks := &pb.BatchVerifyHashRequest{Items: many[pb.VerifyHashRequest](count)}
		wrongSize(r, "BatchMintHash", count, client.BatchMintHash, mints)
		wrongSize(r, "BatchVerifyHash", count, client.BatchVerifyHash, checks)
	}
}

func (r *run) itemError(got *pb.ItemError, code codes.Code, reason string) {
	r.equal("code of the bad item", codes.Code(got.GetCode()), code)
	r.equal("reason of the bad item", got.GetReason(), reason)
}

func many[T any](count int) []*T {
	items := make([]*T, count)
	for i := range items {
		items[i] = new(T)
	}
	return items
}

func wrongSize[Q, A any](r *run, name string, count int, method rpc[Q, A], request *Q) {
	refused(r, fmt.Sprintf("%s of %d", name, count), codes.InvalidArgument, "INVALID_FIELD", "items", method, request)
}

func (r *run) hub(client pb.HubTokenServiceClient) {
	valid, otherContext := pb.Verdict_VERDICT_VALID, pb.Verdict_VERDICT_WRONG_CONTEXT
	sealed := answered(r, "seal a token for a user", client.Seal, seal(app, user))
	auth := sealed.GetAuth()
	opened := judged(r, "open it", valid, client.Open, open(app, user, auth))
	r.equal("payload", string(opened.GetPayload()), payload)
	wrong := judged(r, "open it as another user", otherContext, client.Open, open(app, otherUser, auth))
	r.equal("payload", len(wrong.GetPayload()), 0)
	mangled := open(app, user, tampered(auth))
	judged(r, "tampered with", pb.Verdict_VERDICT_MALFORMED, client.Open, mangled)
	verified := judged(r, "verify it", valid, client.Verify, verifyToken(app, user, auth))
	r.equal("grant id", verified.GetClaims().GetGrantId(), sealed.GetGrantId())
	judged(r, "verify as another user", otherContext, client.Verify, verifyToken(app, otherUser, auth))
	resealed := judged(r, "reseal it", valid, client.Reseal, reseal(app, user, auth))
	r.equal("grant id", resealed.GetClaims().GetGrantId(), sealed.GetGrantId())
	r.equal("reseal count", resealed.GetClaims().GetResealCount(), uint32(1))
	again := judged(r, "open the resealed one", valid, client.Open, open(app, user, resealed.GetAuth()))
	r.equal("payload", string(again.GetPayload()), payload)

	refused(r, "seal for an unknown app", codes.NotFound, "UNKNOWN_APP", "", client.Seal, seal("nobody", user))
	refused(r, "open for one", codes.NotFound, "UNKNOWN_APP", "", client.Open, open("nobody", user, auth))
	refused(r, "verify for one", codes.NotFound, "UNKNOWN_APP", "", client.Verify, verifyToken("nobody", user, auth))
	refused(r, "reseal for one", codes.NotFound, "UNKNOWN_APP", "", client.Reseal, reseal("nobody", user, auth))
	r.hubBatches(client)
}

func (r *run) hubBatches(client pb.HubTokenServiceClient) {
	seals := &pb.BatchSealRequest{Items: []*pb.SealRequest{seal(app, user), seal("nobody", user), seal(app, otherUser)}}
	sealed := answered(r, "seal three, the second one bad", client.BatchSeal, seals).GetResults()
	r.itemError(sealed[1].GetError(), codes.NotFound, "UNKNOWN_APP")
	mine, theirs := sealed[0].GetResponse().GetAuth(), sealed[2].GetResponse().GetAuth()
	want := []pb.Verdict{pb.Verdict_VERDICT_VALID, pb.Verdict_VERDICT_WRONG_CONTEXT}

	opens := []*pb.OpenRequest{open(app, user, mine), open("nobody", user, mine), open(app, user, theirs)}
	opened := answered(r, "open three", client.BatchOpen, &pb.BatchOpenRequest{Items: opens}).GetResults()
	got := []pb.Verdict{opened[0].GetResponse().GetVerdict(), opened[2].GetResponse().GetVerdict()}
	r.equal("verdicts in order", got, want)
	r.equal("payload", string(opened[0].GetResponse().GetPayload()), payload)
	r.itemError(opened[1].GetError(), codes.NotFound, "UNKNOWN_APP")

	tokens := []*pb.VerifyRequest{
		verifyToken(app, user, mine), verifyToken("nobody", user, mine), verifyToken(app, user, theirs),
	}
	verified := answered(r, "verify three", client.BatchVerify, &pb.BatchVerifyRequest{Items: tokens}).GetResults()
	got = []pb.Verdict{verified[0].GetResponse().GetVerdict(), verified[2].GetResponse().GetVerdict()}
	r.equal("verdicts in order", got, want)
	r.itemError(verified[1].GetError(), codes.NotFound, "UNKNOWN_APP")

	reseals := []*pb.ResealRequest{reseal(app, user, mine), reseal("nobody", user, mine), reseal(app, user, theirs)}
	resealed := answered(r, "reseal three", client.BatchReseal, &pb.BatchResealRequest{Items: reseals}).GetResults()
	got = []pb.Verdict{resealed[0].GetResponse().GetVerdict(), resealed[2].GetResponse().GetVerdict()}
	r.equal("verdicts in order", got, want)
	r.itemError(resealed[1].GetError(), codes.NotFound, "UNKNOWN_APP")

	for _, count := range []int{0, 1001} {
		wrongSize(r, "BatchSeal", count, client.BatchSeal, &pb.BatchSealRequest{Items: many[pb.SealRequest](count)})
		wrongSize(r, "BatchOpen", count, client.BatchOpen, &pb.BatchOpenRequest{Items: many[pb.OpenRequest](count)})
		wrongSize(r, "BatchVerify", count, client.BatchVerify, &pb.BatchVerifyRequest{Items: many[pb.VerifyRequest](count)})
		wrongSize(r, "BatchReseal", count, client.BatchReseal, &pb.BatchResealRequest{Items: many[pb.ResealRequest](count)})
	}
}

func main() {
	for _, target := range os.Args[1:] {
		started := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		r := &run{target: target, ctx: ctx}
		r.step("connect")
		connection, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			r.failed("%v", err)
		}
		r.health(connection)
		r.reflection(connection)
		r.liveauth(pb.NewLiveAuthServiceClient(connection))
		r.hub(pb.NewHubTokenServiceClient(connection))
		connection.Close()
		cancel()
		fmt.Printf("grpc-go %s: %d steps passed in %.1f s\n", target, r.steps, time.Since(started).Seconds())
	}
}
