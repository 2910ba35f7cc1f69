// What HdrHistogram's reference implementation makes of histograms, as lines of JSON; for the tests of
// ours. "record": lines of VALUExCOUNT, recorded; "decode": lines of coded histograms.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import org.HdrHistogram.Histogram;
import org.HdrHistogram.HistogramIterationValue;

class HistogramRoundTrip {
    static final double[] SHARES = {0.0, 0.001, 0.07, 0.5, 0.9, 0.99, 0.999, 0.99999, 1.0};

    public static void main(String[] arguments) throws Exception {
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            System.out.println(tell(arguments[0].equals("record") ? record(line) : decode(line)));
        }
    }

    static Histogram record(String line) {
        Histogram histogram = new Histogram(1, 3_600_000_000L, 3);
        for (String pair : line.split(" ")) {
            String[] parts = pair.split("x");
            histogram.recordValueWithCount(Long.parseLong(parts[0]), Long.parseLong(parts[1]));
        }
        return histogram;
    }

    static Histogram decode(String line) throws Exception {
        ByteBuffer bytes = ByteBuffer.wrap(Base64.getDecoder().decode(line));
        return Histogram.decodeFromCompressedByteBuffer(bytes, 0);
    }

    static String tell(Histogram histogram) {
        ByteBuffer buffer = ByteBuffer.allocate(histogram.getNeededByteBufferCapacity());
        byte[] coded = new byte[histogram.encodeIntoCompressedByteBuffer(buffer)];
        buffer.rewind();
        buffer.get(coded);
        List<String> quantiles = new ArrayList<>();
        for (double share : SHARES) {
            quantiles.add(Long.toString(histogram.getValueAtPercentile(100 * share)));
        }
        List<String> buckets = new ArrayList<>();
        for (HistogramIterationValue value : histogram.recordedValues()) {
            buckets.add("[" + value.getValueIteratedTo() + "," + value.getCountAddedInThisIterationStep() + "]");
        }
        return "{\"count\":" + histogram.getTotalCount() + ",\"min\":" + histogram.getMinValue()
            + ",\"max\":" + histogram.getMaxValue() + ",\"mean\":" + histogram.getMean()
            + ",\"quantiles\":[" + String.join(",", quantiles) + "],\"buckets\":[" + String.join(",", buckets)
            + "],\"coded\":\"" + Base64.getEncoder().encodeToString(coded) + "\"}";
    }
}
