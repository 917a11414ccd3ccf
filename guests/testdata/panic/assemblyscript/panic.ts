// Throws.
import { Machine, Request, Writer, register } from "../../../sdk/assemblyscript/lockstep";
export * from "../../../sdk/assemblyscript/exports";

class Faulty extends Machine {
  apply(q: Request): Writer | null {
    throw new Error("there is no way on");
  }
}

register(new Faulty());
