package example;

import com.google.protobuf.Any;
import com.google.protobuf.ByteString;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.countersign.v1.HubTokenServiceGrpc;
import io.countersign.v1.LiveAuthServiceGrpc;
import io.countersign.v1.MintHashRequest;
import io.countersign.v1.OpenRequest;
import io.countersign.v1.SealRequest;
import io.countersign.v1.Verdict;
import io.countersign.v1.VerifyHashRequest;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.AbstractBlockingStub;
import java.io.File;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/**
 * A client of Countersign: mints and verifies a hash, seals a payload and opens it, and shows how a refusal reads.
 *
 * <pre>
 * mvn package
 * COUNTERSIGN_ADDRESS=unix:/run/countersign/countersign.sock java -jar target/client.jar
 * </pre>
 *
 * For https://HOST:PORT, COUNTERSIGN_TLS_CERT and COUNTERSIGN_TLS_KEY name the client's certificate and key (PKCS #8),
 * and COUNTERSIGN_TLS_CA the authority that the service's certificate must lead to: files in PEM.
 */
public final class Client {
    /** How long one call may take, with the retries that gRPC makes of it. */
    private static final Duration DEADLINE = Duration.ofSeconds(5);

    /** How long one call may take in all, with the waits that a rate limit asks for. */
    private static final Duration PATIENCE = Duration.ofSeconds(20);

    /**
     * Every RPC may be repeated: at worst, a hash or a token too many was made. There is no "timeout" here on purpose:
     * it would cut longer deadlines of calls short, and clients on gRPC's C core take up to a second off it.
     */
    private static final Map<String, ?> SERVICE_CONFIG = Map.of(
            "methodConfig",
            List.of(Map.of(
                    "name",
                    List.of(
                            Map.of("service", "countersign.v1.LiveAuthService"),
                            Map.of("service", "countersign.v1.HubTokenService")),
                    "retryPolicy",
                    Map.of(
                            "maxAttempts", 4.0, // numbers must be doubles here
                            "initialBackoff", "0.1s",
                            "maxBackoff", "1s",
                            "backoffMultiplier", 2.0,
                            "retryableStatusCodes", List.of("UNAVAILABLE")))));

    /** Gives one channel for the whole process and all its threads: make it once, and keep it. */
    private static ManagedChannel connect() throws IOException {
        String address = System.getenv().getOrDefault(
                "COUNTERSIGN_ADDRESS", "unix:/run/countersign/countersign.sock");
        ManagedChannelBuilder<?> builder;
        if (address.startsWith("unix:")) {
            // Without the authority, the path of the socket would be sent as the host, and it is not one.
            builder = Grpc.newChannelBuilder(address, InsecureChannelCredentials.create())
                    .overrideAuthority("localhost");
        } else {
            var credentials = TlsChannelCredentials.newBuilder()
                    .keyManager(
                            new File(System.getenv("COUNTERSIGN_TLS_CERT")),
                            new File(System.getenv("COUNTERSIGN_TLS_KEY")))
                    .trustManager(new File(System.getenv("COUNTERSIGN_TLS_CA")))
                    .build();
            builder = Grpc.newChannelBuilder(address.replaceFirst("^https://", ""), credentials);
        }
        return builder.defaultServiceConfig(SERVICE_CONFIG).build();
    }

    /** Why a call was refused, the fields at fault, and how long to wait before trying again: null for not at all. */
    private record Details(String reason, List<String> fields, Duration retryAfter) {
        static Details of(StatusRuntimeException error) {
            var reason = "";
            var fields = new ArrayList<String>();
            Duration retryAfter = null;
            try {
                for (Any detail : StatusProto.fromThrowable(error).getDetailsList()) {
                    if (detail.is(ErrorInfo.class)) {
                        reason = detail.unpack(ErrorInfo.class).getReason();
                    } else if (detail.is(BadRequest.class)) {
                        var violations = detail.unpack(BadRequest.class).getFieldViolationsList();
                        violations.forEach(violation -> fields.add(violation.getField()));
                    } else if (detail.is(RetryInfo.class)) {
                        var delay = detail.unpack(RetryInfo.class).getRetryDelay();
                        retryAfter = Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
                    }
                }
            } catch (InvalidProtocolBufferException malformed) {
                // Then the code and the text have to do.
            }
            return new Details(reason, fields, retryAfter);
        }
    }

    /** Calls, and where the caller is over its rate, waits for as long as the service asks and calls again. */
    private static <S extends AbstractBlockingStub<S>, A> A patiently(S stub, Function<S, A> call)
            throws InterruptedException {
        long until = System.nanoTime() + PATIENCE.toNanos();
        while (true) {
            try {
                return call.apply(stub.withDeadlineAfter(DEADLINE.toMillis(), TimeUnit.MILLISECONDS));
            } catch (StatusRuntimeException error) {
                Duration wait = Details.of(error).retryAfter();
                boolean limited = error.getStatus().getCode() == Status.Code.RESOURCE_EXHAUSTED && wait != null;
                if (!limited || System.nanoTime() + wait.toNanos() - until > 0) {
                    throw error;
                }
                TimeUnit.NANOSECONDS.sleep(wait.toNanos());
            }
        }
    }

    private static void run(ManagedChannel channel) throws InterruptedException {
        // Waits for the service where it is not there yet: for the start of a program, not for its calls later on.
        var health = HealthGrpc.newBlockingStub(channel)
                .withWaitForReady()
                .withDeadlineAfter(PATIENCE.toMillis(), TimeUnit.MILLISECONDS);
        var service = HealthCheckRequest.newBuilder().setService("countersign.v1.LiveAuthService").build();
        System.out.println("health: " + health.check(service).getStatus());

        var liveauth = LiveAuthServiceGrpc.newBlockingStub(channel);
        var mint = MintHashRequest.newBuilder().setDomain("jobs.example.com").setClient(42).setTtl(60).build();
        var minted = patiently(liveauth, stub -> stub.mintHash(mint));
        System.out.println("minted: " + minted.getQuery());

        // What an end user presents goes to the service as it came, as text.
        var presented = VerifyHashRequest.newBuilder()
                .setDomain("jobs.example.com")
                .setClient("42")
                .setExpires(Long.toString(minted.getExpires()))
                .setHash(minted.getHash())
                .build();
        System.out.println("verified: " + patiently(liveauth, stub -> stub.verifyHash(presented)).getVerdict());

        var hub = HubTokenServiceGrpc.newBlockingStub(channel);
        var seal = SealRequest.newBuilder()
                .setApp("acme-contacts")
                .setUsername("jane@example.com")
                .setPayload(ByteString.copyFromUtf8("an OAuth token"))
                .setTtl(3600)
                .build();
        var sealed = patiently(hub, stub -> stub.seal(seal));

        // A verdict is an answer, not an error: a token of another user's is WRONG_CONTEXT, with status OK.
        for (String username : List.of("jane@example.com", "john@example.com")) {
            var open = OpenRequest.newBuilder()
                    .setApp("acme-contacts")
                    .setAuth(sealed.getAuth())
                    .setUsername(username)
                    .build();
            var opened = patiently(hub, stub -> stub.open(open));
            if (opened.getVerdict() == Verdict.VERDICT_VALID) {
                System.out.printf("opened for %s: %d bytes%n", username, opened.getPayload().size());
            } else {
                System.out.printf("not opened for %s: %s%n", username, opened.getVerdict());
            }
        }

        // An error is the caller's fault or the service's: here, the caller asks for more than it may.
        try {
            var tooLong = mint.toBuilder().setTtl(1_000_000).build();
            patiently(liveauth, stub -> stub.mintHash(tooLong));
        } catch (StatusRuntimeException error) {
            var found = Details.of(error);
            System.out.printf("refused: %s, %s, %s%n",
                    error.getStatus().getCode(), found.reason(), String.join(", ", found.fields()));
        }
    }

    public static void main(String[] args) throws Exception {
        var channel = connect();
        try {
            run(channel);
        } finally {
            channel.shutdown().awaitTermination(5, TimeUnit.SECONDS);
        }
    }

    private Client() {}
}
