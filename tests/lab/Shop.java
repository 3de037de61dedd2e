import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import com.zaxxer.hikari.HikariPoolMXBean;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.SQLException;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import javax.sql.DataSource;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * A service with a HikariCP pool, as tests/lab/hikari_service.py runs it: requests at random, each with one connection.
 *
 * What it did goes to standard output, a line each: `what pid says`; its log goes to standard error. Standard input turns
 * it: `leak 9` keeps one connection in nine requests, `rate 2.5` changes the requests a second.
 */
public class Shop {
  private static final Logger LOG = LoggerFactory.getLogger(Shop.class);
  private static final PrintWriter BOOKS = new PrintWriter(System.out, true);
  private static final Random CHANCE = new Random();
  private static final List<Connection> LEAKED = new CopyOnWriteArrayList<>();
  private static final AtomicInteger TIMEOUTS = new AtomicInteger();
  private static volatile int leak = 0;
  private static volatile double rate = 1;

  public static void main(String[] arguments) throws Exception {
    String url = arguments[0];
    rate = Double.parseDouble(arguments[4]);
    double durationMs = Double.parseDouble(arguments[5]);
    HikariConfig config = new HikariConfig();
    config.setDataSource(watched(url));
    config.setPoolName(arguments[1]);
    config.setMaximumPoolSize(Integer.parseInt(arguments[2]));
    config.setMinimumIdle(1);
    config.setConnectionTimeout(Long.parseLong(arguments[3]));
    config.setLeakDetectionThreshold(5000);
    config.setInitializationFailTimeout(-1);
    HikariDataSource pool = new HikariDataSource(config);
    ExecutorService threads = Executors.newFixedThreadPool(24);
    start(() -> listen());
    start(() -> report(pool));
    for (int number = 1; ; number++) {
      Thread.sleep((long) (-Math.log(1 - CHANCE.nextDouble()) * 1000 / rate));
      int request = number;
      threads.submit(() -> serve(pool, request, durationMs));
    }
  }

  private static void serve(HikariDataSource pool, int request, double durationMs) {
    Connection connection;
    try {
      connection = request % 3 == 0 ? VoucherService.connection(pool) : pool.getConnection();
    } catch (SQLException error) {
      TIMEOUTS.incrementAndGet();
      say("timeout", 0, "");
      LOG.error("request failed: {}", error.getMessage());
      return;
    }
    try {
      try (PreparedStatement statement =
          connection.prepareStatement("SELECT sum(total) FROM orders, pg_sleep(?) WHERE customer = ?")) {
        statement.setDouble(1, durationMs / 1000 * Math.exp(0.8 * CHANCE.nextGaussian()));
        statement.setInt(2, request % 100);
        statement.executeQuery();
      }
      say("done", 0, "");
      if (leak > 0 && request % (3 * leak) == 0) {
        say("leak", connection.unwrap(org.postgresql.PGConnection.class).getBackendPID(), "");
        LEAKED.add(connection);
        return;
      }
      connection.close();
    } catch (SQLException error) {
      say("failed", 0, error.getMessage());
      LOG.error("request failed: {}", error.getMessage());
    }
  }

  /** Where connections are lost: a leak's stack names it. */
  private static final class VoucherService {
    static Connection connection(HikariDataSource pool) throws SQLException {
      return pool.getConnection();
    }
  }

  private static void listen() {
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    lines.lines().forEach(line -> {
      String[] words = line.split(" ");
      if (words[0].equals("leak")) leak = (int) Double.parseDouble(words[1]);
      if (words[0].equals("rate")) rate = Double.parseDouble(words[1]);
    });
    System.exit(0);
  }

  private static void report(HikariDataSource pool) {
    try {
      while (true) {
        Thread.sleep(2000 - System.currentTimeMillis() % 2000);
        HikariPoolMXBean seen = pool.getHikariPoolMXBean();
        BOOKS.printf("pool %d %d %d %d %d %d%n", pool.getMaximumPoolSize(), seen.getTotalConnections(),
            seen.getActiveConnections(), seen.getIdleConnections(), seen.getThreadsAwaitingConnection(), TIMEOUTS.get());
      }
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }

  private static void start(Runnable body) {
    Thread thread = new Thread(body);
    thread.setDaemon(true);
    thread.start();
  }

  private static void say(String what, int pid, String says) {
    BOOKS.println(what + " " + pid + " " + says.replace('\n', ' '));
  }

  /** A data source whose connections note their opening, their refusal and their end. */
  private static DataSource watched(String url) {
    return (DataSource) Proxy.newProxyInstance(Shop.class.getClassLoader(), new Class<?>[] {DataSource.class},
        (source, method, values) -> {
          if (!method.getName().equals("getConnection")) {
            return method.getReturnType() == int.class ? 0 : null;
          }
          try {
            Connection made = DriverManager.getConnection(url);
            int pid = made.unwrap(org.postgresql.PGConnection.class).getBackendPID();
            say("open", pid, "");
            return noting(made, pid);
          } catch (SQLException error) {
            say("refused", 0, error.getMessage());
            throw error;
          }
        });
  }

  private static Connection noting(Connection made, int pid) {
    AtomicBoolean isOpen = new AtomicBoolean(true);
    return (Connection) Proxy.newProxyInstance(Shop.class.getClassLoader(), new Class<?>[] {Connection.class},
        (connection, method, values) -> {
          try {
            return method.invoke(made, values);
          } catch (InvocationTargetException error) {
            throw error.getCause();
          } finally {
            if ((method.getName().equals("close") || method.getName().equals("abort")) && isOpen.getAndSet(false)) {
              say("close", pid, "");
            }
          }
        });
  }
}
