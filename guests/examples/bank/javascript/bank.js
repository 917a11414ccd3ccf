// A bank: accounts that are opened, and money that comes in, moves and goes out.
// Its invariant is that the accounts hold what came in and did not go out; ["invariant"] asks a client's way.
const LIMIT = Number.MAX_SAFE_INTEGER; // of all money together
const MAX_NAME = 64;
let accounts = new Map();
let money = 0; // that came in and did not go out

function account(name) {
  if (!accounts.has(name)) throw reject(18, "no such account");
  return accounts.get(name);
}

// move adds to a balance, which does not become negative.
function move(name, amount) {
  if (account(name) + amount < 0) throw reject(19, "insufficient funds");
  accounts.set(name, account(name) + amount);
}

const total = () => Array.from(accounts.values()).reduce((a, b) => a + b, 0);

function check(amount) {
  if (amount < 1 || amount > LIMIT) throw reject(20, "amount is not in range");
}

register({
  apply(request, ctx) {
    const op = request[0];
    switch (op) {
      case "open": {
        const [name] = args(request, "text");
        if (name === "" || byteLength(name) > MAX_NAME) throw malformed();
        if (accounts.has(name)) throw reject(17, "account exists");
        accounts.set(name, 0);
        return null;
      }
      case "deposit":
      case "withdraw": {
        const [name, amount] = args(request, "text", "int");
        account(name);
        check(amount);
        if (op === "deposit") check(amount + money);
        const change = op === "deposit" ? amount : -amount;
        move(name, change);
        money += change;
        return account(name);
      }
      case "transfer": {
        const [from, to, amount] = args(request, "text", "text", "int");
        account(from), account(to);
        check(amount);
        move(from, -amount); // what throws later is undone with all else
        move(to, amount);
        ctx.emit(["transferred", from, to, amount]);
        return null;
      }
    }
    throw unknown();
  },

  query(request) {
    switch (request[0]) {
      case "balance":
        return account(args(request, "text")[0]);
      case "total":
        args(request);
        return total();
      case "invariant":
        args(request);
        return total() === money;
    }
    throw unknown();
  },

  invariant() {
    if (total() !== money) throw reject(21, "money is not conserved");
  },

  // The saved state is [money, [[name, balance], …]], ascending by name, the same
  // in all languages.
  save: () => [money, Array.from(accounts).sort((a, b) => compare(a[0], b[0]))],
  load([saved, list]) {
    money = saved;
    accounts = new Map(list);
  },
});
